"""What the agent service reads from its environment."""

from shared.settings import Settings


class AgentSettings(Settings, frozen=True, kw_only=True):
    """What every service needs; nothing of its own yet."""
