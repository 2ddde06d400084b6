"""What runs the services: the local supervisor, migrations, the edge, and manifests for containers and clusters."""
