"""How: Postgres, NATS, HTTP."""
