"""The ways into the gateway: HTTP and NATS."""
