"""What an execution can be told. Each carries the time at which it is decided, in Unix milliseconds."""

from typing import Any
from uuid import UUID

import msgspec

from services.workflow.domain.events import Origin, Parent
from services.workflow.domain.step_error import StepError
from services.workflow.domain.walk import Recorded
from services.workflow.limits import DEFAULT_PRIORITY


class Start(msgspec.Struct, frozen=True):
    """Begin, with an input that fits the definition's schema. `recorded` steps end as they did elsewhere."""

    now: int
    workflow_id: UUID
    revision: int
    input: Any
    context: dict[str, Any]
    trigger: str = "manual"
    priority: int = DEFAULT_PRIORITY
    attributes: dict[str, Any] = {}
    tags: list[str] = []
    parent: Parent | None = None
    forked_from: Origin | None = None
    queued: bool = False
    recorded: dict[str, Recorded] = {}


class CompleteTask(msgspec.Struct, frozen=True):
    """A worker has done a step."""

    now: int
    path: str
    attempt: int
    output: Any


class FailTask(msgspec.Struct, frozen=True):
    """A worker could not do a step."""

    now: int
    path: str
    attempt: int
    error: StepError


class Wake(msgspec.Struct, frozen=True):
    """Time has passed: do whatever is due by now."""

    now: int


class Admit(msgspec.Struct, frozen=True):
    """There is room for an execution that was queued."""

    now: int


class Cancel(msgspec.Struct, frozen=True):
    """Somebody wants it ended, and what it did undone."""

    now: int
    reason: str


class Terminate(msgspec.Struct, frozen=True):
    """Somebody wants it ended at once, undoing nothing."""

    now: int
    reason: str


class Pause(msgspec.Struct, frozen=True):
    """Begin nothing more until it is resumed."""

    now: int
    reason: str


class Resume(msgspec.Struct, frozen=True):
    """Go on after a pause."""

    now: int


class Retry(msgspec.Struct, frozen=True):
    """Go on from what did not end well."""

    now: int


class Signal(msgspec.Struct, frozen=True):
    """Something happened that a step may wait for. A second one with the same id changes nothing."""

    now: int
    id: str
    name: str
    data: Any


class Decide(msgspec.Struct, frozen=True):
    """A person decides on an approval."""

    now: int
    path: str
    by: str
    approved: bool
    comment: str
    data: Any


Command = Start | CompleteTask | FailTask | Wake | Admit | Cancel | Terminate | Pause | Resume | Retry | Signal | Decide
