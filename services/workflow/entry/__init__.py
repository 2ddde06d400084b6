"""The ways in: HTTP and NATS."""
