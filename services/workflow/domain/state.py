"""The state of an execution: a fold over its events and over nothing else."""

from typing import Any
from uuid import UUID

import msgspec

from services.workflow.domain.step_error import StepError
from services.workflow.limits import DEFAULT_PRIORITY

# Of an execution.
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

    `good`, `passed` (skipped, or failed and let pass) and `bad` count how the steps inside ended, so that a join costs
    the same whatever its size.
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


class ExecutionState(msgspec.Struct):
    """One execution after `version` events. One writer folds it in place; `scope` is what templates see.

    `traceparent` is that of its start: it stands in the meta of each of its events. Of one that is `archived` no more
    is known than its status row said.
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
    started_at: int = 0
    deadline: int = 0
    ended_at: int | None = None
    output: Any = None
    error: StepError | None = None
    traceparent: str | None = None
    priority: int = DEFAULT_PRIORITY
    attributes: dict[str, Any] = {}
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
        return path in self.open_tasks or path in self.open_timers or path in self.open_holders
