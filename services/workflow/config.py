"""Settings of the workflow service."""

from shared.settings import Settings


class WorkflowSettings(Settings, frozen=True, kw_only=True):
    """What the workflow service reads from the environment, beside what all services do."""
