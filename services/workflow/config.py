"""Settings of the workflow service."""

from typing import Annotated

import msgspec

from shared.settings import Settings


class WorkflowSettings(Settings, frozen=True, kw_only=True):
    """What the workflow service reads from the environment, beside what all services do."""

    workflow_master_key: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    """32 bytes in hexadecimal, from which the addresses and signing keys of webhooks are derived."""
