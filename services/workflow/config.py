"""Settings of the workflow service."""

from typing import Annotated

import msgspec

from services.workflow.limits import MAX_RETENTION_DAYS, MIN_RETENTION_DAYS
from shared.settings import Settings


class WorkflowSettings(Settings, frozen=True, kw_only=True):
    """What the workflow service reads from the environment, beside what all services do."""

    workflow_master_key: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    """32 bytes in hexadecimal, from which the addresses and signing keys of webhooks are derived."""
    workflow_retention_days: Annotated[int, msgspec.Meta(ge=MIN_RETENTION_DAYS, le=MAX_RETENTION_DAYS)] | None = None
    """Days after its end that an execution is kept where neither workflow nor tenant says so. None: for ever."""
    workflow_archive_url: str = ""
    """`file:///…` or `s3://bucket/prefix` (with the usual AWS_* variables); by default a folder in the data folder."""
    workflow_secrets_seed: str = ""
    """nkey seed (`SU…`) that questions for secrets are signed with; without it no `http` step can name one."""
