"""The ways into the agent service."""
