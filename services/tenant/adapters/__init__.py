"""Postgres and cryptography."""
