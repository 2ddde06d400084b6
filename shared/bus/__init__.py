"""NATS: the connection, messages that are lists, durable consumers with explicit acks, CloudEvents."""
