"""The state of an execution: a fold over its events and over nothing else."""

from typing import Any
from uuid import UUID

import msgspec

from services.workflow.domain.events import Parent
from services.workflow.domain.step_error import StepError
from services.workflow.limits import DEFAULT_PRIORITY

# Of an execution.
PENDING = "pending"
PAUSED = "paused"
RUNNING = "running"
WAITING = "waiting"
COMPLETED = "completed"
FAILED = "failed"
CANCELLED = "cancelled"
ENDED = frozenset({COMPLETED, FAILED, CANCELLED})

# Of a step, beside the above.
SCHEDULED = "scheduled"
RETRYING = "retrying"
SKIPPED = "skipped"


class StepState(msgspec.Struct):
    """One step of one execution. `due` is when the engine itself does something next: a retry, the end of a delay.

    `good`, `passed` (skipped, or failed and let pass) and `bad` count how the steps or iterations inside ended, so that
    a join costs the same whatever its size; `begun` counts iterations. `let_pass`: it failed, and the execution goes on
    or its `on_error` steps run. `copied`: another execution did it. `closed` is the version at which it ended.
    """

    path: str
    status: str
    attempt: int
    started_at: int
    input: Any = None
    output: Any = None
    error: StepError | None = None
    branch: str | None = None
    due: int | None = None
    deadline: int | None = None
    completed_at: int | None = None
    good: int = 0
    passed: int = 0
    bad: int = 0
    begun: int = 0
    let_pass: bool = False
    copied: bool = False
    closed: int = 0


class Wait(msgspec.Struct, frozen=True):
    """What a step waits for: a signal by `name` (`event`), or a decision (`approval`)."""

    kind: str
    name: str
    details: dict[str, Any] = {}


class Signal(msgspec.Struct, frozen=True):
    """A signal that no step has taken yet."""

    name: str
    id: str
    data: Any


def signal_key(name: str, signal_id: str) -> str:
    """Return what tells a signal from all others of an execution: an id is its sender's, and one for each name."""
    return f"{len(name)} {name} {signal_id}"


class Held(msgspec.Struct, frozen=True):
    """A worker's result that came during a pause."""

    attempt: int
    output: Any = None
    error: StepError | None = None


class Undoing(msgspec.Struct):
    """Steps that are still to be undone before the execution fails (`error`) or is cancelled (`reason`)."""

    steps: list[str]
    error: StepError | None
    reason: str | None
    failed: list[str] = []


class ExecutionState(msgspec.Struct):
    """One execution after `version` events. One writer folds it in place; `scope` is what templates at the top see.

    `traceparent` is that of its start: it stands in the meta of each of its events. `bases` has, by step, the attempts
    that were made before somebody asked for the step anew. `size` is that of the history, in bytes. Of one that is
    `archived` the engine knows no more than its status row said.
    """

    id: UUID
    tenant_id: UUID
    version: int = 0
    status: str = "pending"
    workflow_id: UUID | None = None
    revision: int = 0
    scope: dict[str, Any] = {}
    context: dict[str, Any] = {}
    steps: dict[str, StepState] = {}
    open_tasks: dict[str, None] = {}
    open_timers: dict[str, None] = {}
    open_holders: dict[str, None] = {}
    open_waits: dict[str, Wait] = {}
    started_at: int = 0
    deadline: int = 0
    ended_at: int | None = None
    output: Any = None
    error: StepError | None = None
    traceparent: str | None = None
    priority: int = DEFAULT_PRIORITY
    attributes: dict[str, Any] = {}
    tags: list[str] = []
    trigger: str = "unknown"
    parent: Parent | None = None
    queued: bool = False
    paused_at: int | None = None
    held: dict[str, Held] = {}
    signals: dict[str, Signal] = {}
    signals_seen: dict[str, None] = {}
    undoing: Undoing | None = None
    undone: bool = False
    bases: dict[str, int] = {}
    size: int = 0
    archived: bool = False

    @property
    def key(self) -> str:
        """The id as text, made once."""
        return str(self.scope["execution"]["id"])

    @property
    def ended(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.ended_at is not None

    def is_open(self, path: str) -> bool:
        """Whether a step has begun and not ended."""
        return (
            path in self.open_tasks
            or path in self.open_timers
            or path in self.open_holders
            or path in self.open_waits
            or path in self.held
        )

    def open_paths(self) -> tuple[str, ...]:
        """Return every step that has begun and not ended, what is inside before what holds it."""
        return (*self.open_tasks, *self.held, *self.open_timers, *self.open_waits, *reversed(self.open_holders))
