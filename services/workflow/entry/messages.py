"""Commands that come over NATS, as lists on `commands.workflow.…`, and their answers."""

from typing import Annotated, Any
from uuid import UUID

import msgspec

from services.workflow.app.items import Control
from services.workflow.domain import commands as c
from services.workflow.domain.events import Origin, Parent
from services.workflow.domain.language.fields import Priority
from services.workflow.limits import DEFAULT_PRIORITY, MAX_NAME_CHARS, MAX_REASON_CHARS, MAX_TEXT_CHARS
from shared.errors import FieldFault

START_SUBJECT = "commands.workflow.start-execution"
CONTROL_SUBJECT = "commands.workflow.control-execution"


# Postgres takes U+0000 in no text, and one text that it does not take fails the whole batch that it is written with.
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS, pattern=r"^[^\x00]*$")]
WorkflowRef = Label
"""A workflow's id or slug."""
Reason = Annotated[str, msgspec.Meta(max_length=MAX_REASON_CHARS, pattern=r"^[^\x00]*$")]


class StartExecution(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Start a workflow (by id or slug). `execution_id` is its natural key: sent twice, it starts once.

    Without `revision` the active one is taken. With `forked_from` the steps that came before that one end as they did
    in the execution it names.
    """

    execution_id: UUID
    tenant_id: UUID
    workflow: WorkflowRef
    input: Any = {}
    context: dict[str, Any] = {}
    revision: int | None = None
    trigger: Label = "command"
    actor: Label = "service:unknown"
    traceparent: str | None = None
    priority: Priority = DEFAULT_PRIORITY
    attributes: dict[str, Any] = {}
    tags: list[str] = []
    parent: Parent | None = None
    forked_from: Origin | None = None


class _Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="type"):
    """Each has a `command`: what the execution is told in the name of an actor; the engine sets the time."""


class CancelAction(_Action, frozen=True, tag="cancel"):
    """End it, once what asks for it is undone."""

    reason: Reason = "cancelled by request"

    def command(self, actor: str) -> Control:  # noqa: ARG002
        return c.Cancel(0, self.reason)


class TerminateAction(_Action, frozen=True, tag="terminate"):
    """End it at once, undoing nothing."""

    reason: Reason = "terminated by request"

    def command(self, actor: str) -> Control:  # noqa: ARG002
        return c.Terminate(0, self.reason)


class PauseAction(_Action, frozen=True, tag="pause"):
    """Begin nothing more until it is resumed."""

    reason: Reason = "paused by request"

    def command(self, actor: str) -> Control:  # noqa: ARG002
        return c.Pause(0, self.reason)


class ResumeAction(_Action, frozen=True, tag="resume"):
    """Go on after a pause."""

    def command(self, actor: str) -> Control:  # noqa: ARG002
        return c.Resume(0)


class RetryAction(_Action, frozen=True, tag="retry"):
    """Go on from what did not end well."""

    def command(self, actor: str) -> Control:  # noqa: ARG002
        return c.Retry(0)


class SignalAction(_Action, frozen=True, tag="signal"):
    """Tell it that something happened. `id` names the signal: sent twice, it counts once."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS)]
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS)]
    data: Any = None

    def command(self, actor: str) -> Control:  # noqa: ARG002
        return c.Signal(0, self.id, self.name, self.data)


class AdmitAction(_Action, frozen=True, tag="admit"):
    """Begin what was queued for a concurrency key: there is room for it."""

    def command(self, actor: str) -> Control:  # noqa: ARG002
        return c.Admit(0)


class DecideAction(_Action, frozen=True, tag="decide"):
    """Decide on the approval that the step at `path` waits for, in the name of the command's actor."""

    path: str
    approved: bool
    comment: Annotated[str, msgspec.Meta(max_length=MAX_TEXT_CHARS)] = ""
    data: Any = None

    def command(self, actor: str) -> Control:
        return c.Decide(0, self.path, actor, self.approved, self.comment, self.data)


Action = (
    CancelAction
    | TerminateAction
    | PauseAction
    | ResumeAction
    | RetryAction
    | SignalAction
    | AdmitAction
    | DecideAction
)


class ControlExecution(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Tell an execution what to do."""

    execution_id: UUID
    tenant_id: UUID
    action: Action
    actor: Label = "service:unknown"


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
