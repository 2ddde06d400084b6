"""The events of an execution. Their tags and fields are contracts for ever; times are Unix milliseconds."""

from typing import Any
from uuid import UUID

import msgspec

from services.workflow.domain.step_error import StepError
from services.workflow.limits import DEFAULT_PRIORITY
from shared.eventstore.catalogue import DomainEvent, EventCatalogue


class ExecutionStarted(DomainEvent, frozen=True):
    """An execution begins, on a revision that it keeps to its end.

    `trigger` says what asked for it, `attributes` and `tags` what it is found by, `priority` (1-10) who of a tenant
    goes first.
    """

    TYPE = "workflow.execution-started.v1"
    PUBLIC = True

    at: int
    workflow_id: UUID
    revision: int
    input: Any
    context: dict[str, Any]
    deadline: int
    trigger: str = "manual"
    priority: int = DEFAULT_PRIORITY
    attributes: dict[str, Any] = msgspec.field(default_factory=dict)
    tags: list[str] = msgspec.field(default_factory=list)


class StepScheduled(DomainEvent, frozen=True):
    """A worker is asked for a step. `input` is the task's payload as rendered, `deadline` when it is given up."""

    TYPE = "workflow.step-scheduled.v1"

    at: int
    path: str
    attempt: int
    input: Any
    deadline: int


class StepStarted(DomainEvent, frozen=True):
    """The engine itself begins a step: one that holds others, or one that waits until `due`."""

    TYPE = "workflow.step-started.v1"

    at: int
    path: str
    branch: str | None = None
    due: int | None = None
    deadline: int | None = None


class StepCompleted(DomainEvent, frozen=True):
    """A step has its output, as later steps see it (after `output_mapping`)."""

    TYPE = "workflow.step-completed.v1"

    at: int
    path: str
    attempt: int
    output: Any


class StepFailed(DomainEvent, frozen=True):
    """An attempt failed. With `retry_at` another follows; with `continued` the execution goes on without it."""

    TYPE = "workflow.step-failed.v1"

    at: int
    path: str
    attempt: int
    error: StepError
    retry_at: int | None = None
    continued: bool = False


class StepSkipped(DomainEvent, frozen=True):
    """The step's `when` was false."""

    TYPE = "workflow.step-skipped.v1"

    at: int
    path: str


class StepCancelled(DomainEvent, frozen=True):
    """The step was still open when it was no longer needed; a result that comes later is not recorded."""

    TYPE = "workflow.step-cancelled.v1"

    at: int
    path: str
    reason: str


class ExecutionCompleted(DomainEvent, frozen=True):
    """The execution ended with an output."""

    TYPE = "workflow.execution-completed.v1"
    PUBLIC = True

    at: int
    output: Any


class ExecutionFailed(DomainEvent, frozen=True):
    """The execution ended by an error that nothing caught."""

    TYPE = "workflow.execution-failed.v1"
    PUBLIC = True

    at: int
    error: StepError


class ExecutionCancelled(DomainEvent, frozen=True):
    """Somebody ended the execution."""

    TYPE = "workflow.execution-cancelled.v1"
    PUBLIC = True

    at: int
    reason: str


EXECUTION_EVENTS = EventCatalogue(
    [
        ExecutionStarted,
        StepScheduled,
        StepStarted,
        StepCompleted,
        StepFailed,
        StepSkipped,
        StepCancelled,
        ExecutionCompleted,
        ExecutionFailed,
        ExecutionCancelled,
    ]
)
