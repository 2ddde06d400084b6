"""The events of an execution. Their tags and fields are contracts for ever; times are Unix milliseconds."""

from typing import Any
from uuid import UUID

import msgspec

from services.workflow.domain.step_error import StepError
from services.workflow.limits import DEFAULT_PRIORITY
from shared.eventstore.catalogue import DomainEvent, EventCatalogue

SIGNALLED, DECIDED, TIMED_OUT, NO_LONGER = "signalled", "decided", "timed_out", "cancelled"


class Parent(msgspec.Struct, frozen=True):
    """The step of another execution that runs this one; `depth` counts how many such lie above."""

    execution_id: UUID
    path: str
    attempt: int
    depth: int = 1


class Origin(msgspec.Struct, frozen=True):
    """The execution that this one was forked from, and the step from which it goes its own way."""

    execution_id: UUID
    path: str


class ExecutionStarted(DomainEvent, frozen=True):
    """An execution begins, on a revision that it keeps to its end.

    `trigger` says what asked for it, `attributes` and `tags` what it is found by, `priority` (1-10) who of a tenant
    goes first. One that is `queued` waits until it is admitted.
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
    parent: Parent | None = None
    forked_from: Origin | None = None
    queued: bool = False


class ExecutionAdmitted(DomainEvent, frozen=True):
    """An execution that was queued for its concurrency key begins."""

    TYPE = "workflow.execution-admitted.v1"
    PUBLIC = True

    at: int
    deadline: int


class StepScheduled(DomainEvent, frozen=True):
    """A worker is asked for a step. `input` is the task's payload as rendered, `deadline` when it is given up."""

    TYPE = "workflow.step-scheduled.v1"

    at: int
    path: str
    attempt: int
    input: Any
    deadline: int


class StepStarted(DomainEvent, frozen=True):
    """The engine itself begins a step: one that holds others, or one that waits until `due`.

    `input` is what it was begun with: a foreach's items, a switch's value.
    """

    TYPE = "workflow.step-started.v1"

    at: int
    path: str
    branch: str | None = None
    due: int | None = None
    deadline: int | None = None
    input: Any = None


class StepWaiting(DomainEvent, frozen=True):
    """A step waits for somebody: for a signal by `name` (`event`), or for a person's decision (`approval`)."""

    TYPE = "workflow.step-waiting.v1"
    PUBLIC = True

    at: int
    path: str
    kind: str
    name: str
    deadline: int | None = None
    details: dict[str, Any] = msgspec.field(default_factory=dict)


class StepWaited(DomainEvent, frozen=True):
    """The wait is over: `signalled`, `decided`, `timed_out` or `cancelled`; by whom, with what."""

    TYPE = "workflow.step-waited.v1"
    PUBLIC = True

    at: int
    path: str
    outcome: str
    by: str | None = None
    data: Any = None
    signal_id: str | None = None


class SignalReceived(DomainEvent, frozen=True):
    """A signal came; it is kept until a step takes it. A second one with the same id is not recorded."""

    TYPE = "workflow.signal-received.v1"

    at: int
    id: str
    name: str
    data: Any


class EventEmitted(DomainEvent, frozen=True):
    """A step publishes `data` on `events.<tenant>.external.<subject>`; `depth` counts the triggers that led here."""

    TYPE = "workflow.event-emitted.v1"
    PUBLIC = True

    at: int
    path: str
    subject: str
    event_type: str
    data: Any
    depth: int = 0


class StepCompleted(DomainEvent, frozen=True):
    """A step has its output, as later steps see it (after `output_mapping`).

    `last`: an iteration ends with it. `copied`: the output is that of the execution which this one was forked from.
    """

    TYPE = "workflow.step-completed.v1"

    at: int
    path: str
    attempt: int
    output: Any
    last: bool = False
    copied: bool = False


class StepFailed(DomainEvent, frozen=True):
    """An attempt failed.

    With `retry_at` another follows; with `continued` the execution goes on without it; when it is `handled` the steps
    of its `on_error` follow. `last`: an iteration ends with it.
    """

    TYPE = "workflow.step-failed.v1"

    at: int
    path: str
    attempt: int
    error: StepError
    retry_at: int | None = None
    continued: bool = False
    handled: bool = False
    last: bool = False


class StepSkipped(DomainEvent, frozen=True):
    """The step's `when` was false. `last`: an iteration ends with it."""

    TYPE = "workflow.step-skipped.v1"

    at: int
    path: str
    last: bool = False


class StepCancelled(DomainEvent, frozen=True):
    """The step was still open when it was no longer needed; a result that comes later is not recorded."""

    TYPE = "workflow.step-cancelled.v1"

    at: int
    path: str
    reason: str


class StepResultHeld(DomainEvent, frozen=True):
    """A worker's result came while the execution was paused: it counts when that is resumed."""

    TYPE = "workflow.step-result-held.v1"

    at: int
    path: str
    attempt: int
    output: Any = None
    error: StepError | None = None


class ExecutionPaused(DomainEvent, frozen=True):
    """Nothing begins any more, and time stands still, until it is resumed."""

    TYPE = "workflow.execution-paused.v1"
    PUBLIC = True

    at: int
    reason: str


class ExecutionResumed(DomainEvent, frozen=True):
    """It goes on: what falls due is later by as long as it was paused."""

    TYPE = "workflow.execution-resumed.v1"
    PUBLIC = True

    at: int


class ExecutionRetried(DomainEvent, frozen=True):
    """An execution that failed or was cancelled goes on.

    The steps `again` begin anew, with further attempts, or begin at all; those that hold them are `reopened`, with
    their deadlines. `dropped` are what an `on_error` of these did: it may have to run once more.
    """

    TYPE = "workflow.execution-retried.v1"
    PUBLIC = True

    at: int
    deadline: int
    again: list[str]
    reopened: dict[str, int | None]
    dropped: list[str] = msgspec.field(default_factory=list)


class CompensationStarted(DomainEvent, frozen=True):
    """The execution will fail (`error`) or be cancelled (`reason`); first these `steps` are undone, in this order."""

    TYPE = "workflow.compensation-started.v1"

    at: int
    deadline: int
    steps: list[str]
    error: StepError | None = None
    reason: str | None = None


class StepCompensated(DomainEvent, frozen=True):
    """A step was undone, or could not be (`error`)."""

    TYPE = "workflow.step-compensated.v1"

    at: int
    path: str
    error: StepError | None = None


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
    """Somebody ended the execution; when it was `terminated`, without undoing anything.

    `error` says what could not be undone.
    """

    TYPE = "workflow.execution-cancelled.v1"
    PUBLIC = True

    at: int
    reason: str
    terminated: bool = False
    error: StepError | None = None


EXECUTION_EVENTS = EventCatalogue(
    [
        ExecutionStarted,
        ExecutionAdmitted,
        ExecutionPaused,
        ExecutionResumed,
        ExecutionRetried,
        CompensationStarted,
        StepCompensated,
        StepScheduled,
        StepStarted,
        StepWaiting,
        StepWaited,
        StepResultHeld,
        SignalReceived,
        EventEmitted,
        StepCompleted,
        StepFailed,
        StepSkipped,
        StepCancelled,
        ExecutionCompleted,
        ExecutionFailed,
        ExecutionCancelled,
    ]
)
