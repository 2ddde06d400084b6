"""Postgres: pools, named queries, one tenant at a time."""
