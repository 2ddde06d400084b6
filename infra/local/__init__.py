"""The whole platform on one machine without anything installed: real Postgres, NATS and edge, and the services."""
