"""Secrets by reference: `{secret.NAME}` in a text, and the tenant service asked for the value at the last moment."""
