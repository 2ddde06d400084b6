"""Statuses of the agent service's error codes, beside those that every service has."""

STATUSES: dict[str, int] = {}
