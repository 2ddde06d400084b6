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


class Change(msgspec.Struct):
    """One place of an execution's state that differs."""

    path: str
    before: Any = msgspec.UNSET
    after: Any = msgspec.UNSET


class StateDiff(msgspec.Struct):
    changes: list[Change]
    truncated: bool


class Difference(msgspec.Struct):
    """One decision that differs from the recorded one."""

    path: str
    what: str
    recorded: Any = None
    shadow: Any = None


class Replayed(msgspec.Struct):
    execution_id: str
    version: int
    status: str
    same: bool
    differences: list[Difference]
    decided_anew: bool
    why_not: str | None = None


class Shadow(msgspec.Struct):
    """A definition's decisions over one recorded execution."""

    execution_id: str
    status: str
    shadow_status: str | None
    same: bool
    differences: list[Difference]
    stopped_at: list[str]
    skipped: str | None = None


class ShadowPage(msgspec.Struct):
    shadows: list[Shadow]
    next_cursor: str | None = None


class Approval(msgspec.Struct):
    id: str
    execution_id: str
    name: str
    since: str
    assignees: list[str] = []


class ApprovalPage(msgspec.Struct):
    approvals: list[Approval]
