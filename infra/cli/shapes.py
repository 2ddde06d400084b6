"""The answers of the API, as far as the commands look into them."""

from typing import Any

import msgspec


class Workflow(msgspec.Struct):
    id: str
    name: str
    slug: str
    status: str
    version: str = ""
    revision: int | None = None


class WorkflowPage(msgspec.Struct):
    workflows: list[Workflow]


class Validation(msgspec.Struct):
    """A definition that could run, and the slug that it would have."""

    slug: str


class StepRun(msgspec.Struct):
    """One step of one execution; `retry_count` is how many attempts came before the last one."""

    step_name: str
    step_path: str
    status: str
    step_type: str = ""
    error: Any = None
    retry_count: int = 0
    duration_ms: float | None = None

    @property
    def attempts(self) -> int:
        return 0 if self.status in {"pending", "skipped"} else self.retry_count + 1


class Execution(msgspec.Struct):
    id: str
    status: str
    workflow_id: str = ""
    output_data: Any = None
    error: Any = None
    duration_ms: float | None = None
    steps: list[StepRun] = []

    @property
    def ended(self) -> bool:
        return self.status in {"completed", "failed", "cancelled"}


class Event(msgspec.Struct):
    """One event of an execution's history."""

    version: int
    type: str
    data: Any = None
    recorded_at: str = ""
    actor: str = ""


class EventPage(msgspec.Struct):
    """A stretch of a history; `next_after` is None at its end."""

    events: list[Event]
    next_after: int | None = None


class ListedExecution(msgspec.Struct):
    """An execution as lists show it; `error_code` says why it failed."""

    id: str
    status: str
    workflow_id: str = ""
    started_at: str | None = None
    completed_at: str | None = None
    duration_ms: float | None = None
    trigger: str | None = None
    error_code: str | None = None
    attributes: dict[str, Any] = {}
    tags: list[str] = []

    @property
    def labels(self) -> str:
        return " ".join((*(f"{name}:{value}" for name, value in self.attributes.items()), *self.tags))


class ExecutionPage(msgspec.Struct):
    executions: list[ListedExecution]
    next_cursor: str | None = None


class Durations(msgspec.Struct):
    """Milliseconds; None where nothing completed."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class Counts(msgspec.Struct):
    started: int
    completed: int
    failed: int
    cancelled: int


class PeriodCounts(msgspec.Struct):
    starts_at: str
    counts: Counts


class WorkflowCounts(msgspec.Struct):
    workflow_id: str
    slug: str | None
    counts: Counts
    duration_ms: Durations


class OpenCount(msgspec.Struct):
    status: str
    executions: int
    exact: bool


class Stats(msgspec.Struct):
    """What executions came to in a span of time, and what is open now."""

    totals: Counts
    duration_ms: Durations
    open: list[OpenCount]
    periods: list[PeriodCounts]
    workflows: list[WorkflowCounts]
    since: str = msgspec.field(name="from")
    until: str = msgspec.field(name="to")
