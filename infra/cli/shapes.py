"""The answers of the API, as far as the commands look into them."""

from typing import Any

import msgspec

from shared.errors import FieldFault


class Workflow(msgspec.Struct):
    id: str
    name: str
    slug: str
    status: str
    version: str = ""
    revision: int | None = None
    warnings: list[FieldFault] = []


class WorkflowPage(msgspec.Struct):
    workflows: list[Workflow]


class WorkflowDetail(msgspec.Struct):
    """A workflow with what it holds and how its executions went."""

    id: str
    name: str
    slug: str
    status: str
    version: str
    revision: int
    description: str
    category: str | None
    tags: list[str]
    steps: list[dict[str, Any]]
    triggers: list[dict[str, Any]]
    timeout_seconds: float
    execution_count: int
    success_count: int
    failure_count: int
    avg_duration_ms: float | None
    created_at: str
    updated_at: str

    @property
    def success_rate(self) -> float | None:
        """The share of executions that ended well among those that ended by themselves; None before the first."""
        ended = self.success_count + self.failure_count
        return self.success_count / ended if ended else None


class WorkflowDetails(msgspec.Struct):
    """A page of workflows; `next_cursor` is None on the last."""

    workflows: list[WorkflowDetail]
    next_cursor: str | None = None


class FieldChange(msgspec.Struct):
    path: str
    kind: str
    before: Any = None
    after: Any = None


class StepChange(msgspec.Struct):
    step: str
    kind: str
    type: str
    before_path: str | None = None
    after_path: str | None = None
    fields: list[FieldChange] = []


class RevisionDiff(msgspec.Struct):
    """What changed from one revision to another: the definition's own fields, and steps by name."""

    from_revision: int
    to_revision: int
    definition: list[FieldChange]
    steps: list[StepChange]
    truncated: bool


class Validation(msgspec.Struct):
    """A definition that could run, the slug that it would have, and what may surprise."""

    slug: str
    valid: bool = True
    steps: int = 0
    warnings: list[FieldFault] = []


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
    created_at: str
    title: str | None = None
    assignees: list[str] = []


class ApprovalPage(msgspec.Struct):
    """A page of approvals; `next_cursor` is None on the last."""

    approvals: list[Approval]
    next_cursor: str | None = None


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


class McpServer(msgspec.Struct):
    id: str
    slug: str


class McpServerPage(msgspec.Struct):
    """A page of MCP servers; `next_cursor` is None on the last."""

    servers: list[McpServer]
    next_cursor: str | None = None


class ToolFinding(msgspec.Struct):
    """A text of a tool's definition that looks aimed at a model."""

    rule: str
    where: str
    excerpt: str


class ToolChange(msgspec.Struct, omit_defaults=True):
    """A place at which a tool's definition is otherwise; a side that is not there is UNSET."""

    path: str
    before: Any = msgspec.UNSET
    after: Any = msgspec.UNSET
    lines: list[str] = []


class PendingDefinition(msgspec.Struct):
    """A definition that waits for approval."""

    definition_hash: str
    definition: dict[str, Any]
    reason: str | None
    seen_at: str
    diff: list[ToolChange]
    findings: list[ToolFinding]


class ToolPin(msgspec.Struct):
    """A tool of an MCP server with its approved definition, if it has one, and the one that waits."""

    name: str
    status: str
    definition_hash: str | None
    definition: dict[str, Any] | None
    pending: PendingDefinition | None


class DefinitionPage(msgspec.Struct):
    definitions: list[ToolPin]
    total: int


class DecidedTool(msgspec.Struct):
    name: str
    definition_hash: str
    decision: str


class Approved(msgspec.Struct):
    """The definitions that were approved."""

    server_id: str
    tools: list[DecidedTool]


class Secret(msgspec.Struct):
    """A secret; no answer holds its value."""

    name: str
    version: int
    description: str
    created_at: str
    updated_at: str
    updated_by: str


class SecretPage(msgspec.Struct):
    """A page of secrets; `next_cursor` is None on the last."""

    secrets: list[Secret]
    next_cursor: str | None = None
