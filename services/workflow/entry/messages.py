"""Commands that come over NATS, as lists on `commands.workflow.…`, and their answers."""

from typing import Any
from uuid import UUID

import msgspec

from services.workflow.domain.language.fields import Priority
from services.workflow.limits import DEFAULT_PRIORITY
from shared.errors import FieldFault

START_SUBJECT = "commands.workflow.start-execution"
CANCEL_SUBJECT = "commands.workflow.cancel-execution"
# Where answers may go (`answers.<who asked>.…`). JetStream uses a message's own reply subject for its acks, so a
# command names the subject of its answer in the header `reply_to`.
ANSWERS = "answers."
REPLY_TO = "reply_to"


class StartExecution(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Start a workflow (by id or slug). `execution_id` is its natural key: sent twice, it starts once.

    Without `revision` the active one is taken.
    """

    execution_id: UUID
    tenant_id: UUID
    workflow: str
    input: Any = {}
    context: dict[str, Any] = {}
    revision: int | None = None
    trigger: str = "command"
    actor: str = "service:unknown"
    traceparent: str | None = None
    priority: Priority = DEFAULT_PRIORITY
    attributes: dict[str, Any] = {}
    tags: list[str] = []


class CancelExecution(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Cancel an execution."""

    execution_id: UUID
    tenant_id: UUID
    reason: str = "cancelled by request"
    actor: str = "service:unknown"


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a command was not carried out."""

    code: str
    message: str
    errors: list[FieldFault] = []
    retry_after: float | None = None


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Sent to the `reply_to` header's subject, one a command, as a list: what is durable now, or why nothing is."""

    execution_id: UUID
    status: str | None = None
    version: int = 0
    position: int = 0
    error: Refusal | None = None
