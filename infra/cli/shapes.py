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
