"""HTTP conventions of every service: problems, credentials, health, idempotency, serving."""
