"""What an execution can be told. Each carries the time at which it is decided, in Unix milliseconds."""

from typing import Any
from uuid import UUID

import msgspec

from services.workflow.domain.step_error import StepError
from services.workflow.limits import DEFAULT_PRIORITY


class Start(msgspec.Struct, frozen=True):
    """Begin, with an input that fits the definition's schema."""

    now: int
    workflow_id: UUID
    revision: int
    input: Any
    context: dict[str, Any]
    trigger: str = "manual"
    priority: int = DEFAULT_PRIORITY
    attributes: dict[str, Any] = {}
    tags: list[str] = []


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


class Cancel(msgspec.Struct, frozen=True):
    """Somebody wants it ended."""

    now: int
    reason: str


Command = Start | CompleteTask | FailTask | Wake | Cancel
