"""Bounds of the agent service; those of all services stand in `shared.limits`."""
