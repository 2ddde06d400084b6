"""The JSON of the gateway's API."""

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from services.mcp_gateway.app.reading import CallRow, ServerRow
from services.mcp_gateway.app.sightings import Offer
from services.mcp_gateway.app.trust import VettedTool
from services.mcp_gateway.domain.call import CallOutcome
from services.mcp_gateway.domain.latencies import Percentiles
from services.mcp_gateway.domain.screening import Finding
from services.mcp_gateway.domain.server import ServerConfig, ServerDefinition, Status, Visibility, slug_of
from services.mcp_gateway.limits import CALL_SECONDS_MAX, TOOL_NAME_MAX_CHARS

# Text that goes to the database as text: no NUL in it.
ServerReference = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
ToolName = Annotated[str, msgspec.Meta(min_length=1, max_length=TOOL_NAME_MAX_CHARS, pattern=r"^[^\x00]*$")]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=CALL_SECONDS_MAX)]


class NewServer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A server to register. Without a slug it gets one from its name."""

    name: str
    server_type: Literal["stdio", "streamable_http", "sse"]
    slug: str | None = None
    description: str = ""
    command: str | None = None
    args: tuple[str, ...] = ()
    url: str | None = None
    version: str = "1.0.0"
    category: str = "general"
    author: str | None = None
    config: ServerConfig = msgspec.field(default_factory=ServerConfig)
    env_vars: dict[str, str] = {}
    visibility: Visibility = "private"

    def definition(self) -> ServerDefinition:
        """Return what goes into the registry."""
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        values["slug"] = self.slug if self.slug is not None else slug_of(self.name)
        return ServerDefinition(**values)


class ServerPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What shall be otherwise; what is not named stays."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    slug: str | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType = msgspec.UNSET
    command: str | msgspec.UnsetType = msgspec.UNSET
    args: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    url: str | msgspec.UnsetType = msgspec.UNSET
    version: str | msgspec.UnsetType = msgspec.UNSET
    category: str | msgspec.UnsetType = msgspec.UNSET
    author: str | msgspec.UnsetType | None = msgspec.UNSET
    config: ServerConfig | msgspec.UnsetType = msgspec.UNSET
    env_vars: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    visibility: Visibility | msgspec.UnsetType = msgspec.UNSET
    status: Status | msgspec.UnsetType = msgspec.UNSET

    def changes(self) -> dict[str, Any]:
        """Return the named fields."""
        named = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in named.items() if value is not msgspec.UNSET}


class ServerView(msgspec.Struct, frozen=True):
    """A server of the registry."""

    id: UUID
    tenant_id: UUID
    name: str
    slug: str
    description: str
    server_type: str
    command: str | None
    args: tuple[str, ...]
    url: str | None
    status: str
    version: str
    category: str
    author: str | None
    tools: list[dict[str, Any]]
    resources: list[str]
    prompts: list[str]
    config: ServerConfig
    env_vars: dict[str, str]
    visibility: str
    installed_from: str | None
    health_status: str
    last_health_check: dt.datetime | None
    error_message: str | None
    total_executions: int
    successful_executions: int
    failed_executions: int
    created_at: dt.datetime
    updated_at: dt.datetime


class ServerList(msgspec.Struct, frozen=True):
    """A page of servers."""

    servers: list[ServerView]
    total: int
    offset: int
    limit: int
    next_cursor: str | None = None


class DiscoveredServer(msgspec.Struct, frozen=True):
    """What one server offers. `tools` are the full definitions, when asked for.

    `quarantined_tools` are those that it lists and that nobody approved as they are: they are not offered.
    """

    server_id: UUID
    name: str
    server_type: str
    status: str
    available_tools: list[str]
    available_resources: list[str]
    error_code: str | None = None
    error_message: str | None = None
    tools: list[dict[str, Any]] | None = None
    quarantined_tools: list[str] = []
    available_prompts: list[str] = []
    resources: list[dict[str, Any]] | None = None
    prompts: list[dict[str, Any]] | None = None


class Discovery(msgspec.Struct, frozen=True):
    """What servers offer. `total_available` counts the servers that answered."""

    servers: list[DiscoveredServer]
    total_available: int


class ServerHealth(msgspec.Struct, frozen=True):
    """How a server was last seen, and what this process knows: its session, its breaker, the times of its calls."""

    server_id: UUID
    name: str
    slug: str
    health_status: str
    last_health_check: dt.datetime | None
    latency_ms: float | None
    error_message: str | None
    session_alive: bool = False
    calls_in_flight: int = 0
    retry_after_s: float = 0.0
    circuit: Literal["closed", "open", "half_open"] = "closed"
    latency: Percentiles | None = None


class HealthList(msgspec.Struct, frozen=True):
    """All servers' health, and how many there are of each kind."""

    servers: list[ServerHealth]
    total: int
    healthy: int
    unhealthy: int
    unknown: int
    degraded: int = 0


class ExecuteRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call of a tool. `server_id` is the id or the slug."""

    server_id: ServerReference
    tool_name: ToolName
    tool_input: dict[str, Any] = {}
    conversation_id: UUID | None = None
    agent_id: UUID | None = None
    timeout_seconds: Seconds | None = None


class ExecuteAnswer(msgspec.Struct, frozen=True):
    """How a call ended. `status` is `completed`, or `failed` when the tool itself says so.

    `warnings` are texts in the result that look aimed at a model.
    """

    execution_id: UUID
    server_id: UUID
    tool_name: str
    status: str
    tool_output: Any
    error_message: str | None
    error_code: str | None
    execution_time_ms: float
    started_at: dt.datetime
    completed_at: dt.datetime
    warnings: tuple[Finding, ...] = ()


class ExecutionView(msgspec.Struct, frozen=True):
    """A call of the history."""

    id: UUID
    execution_id: UUID
    server_id: UUID
    tool_name: str
    status: str
    tool_input: dict[str, Any] | None
    tool_output: Any
    error_message: str | None
    error_code: str | None
    execution_time_ms: float | None
    server_response_time_ms: float | None
    retry_count: int
    is_retry: bool
    parent_execution_id: UUID | None
    agent_id: UUID | None
    conversation_id: UUID | None
    started_at: dt.datetime
    completed_at: dt.datetime | None
    warnings: tuple[Finding, ...] = ()


class ExecutionList(msgspec.Struct, frozen=True):
    """A page of the history, the latest first."""

    executions: list[ExecutionView]
    total: int
    offset: int
    limit: int
    next_cursor: str | None = None


def server_view(row: ServerRow) -> ServerView:
    """Return a server as it is shown."""
    server, definition = row.server, row.server.definition
    return ServerView(
        **{name: getattr(definition, name) for name in definition.__struct_fields__},
        id=server.id,
        tenant_id=server.tenant_id,
        status=server.status,
        tools=row.tools,
        resources=row.resources,
        prompts=row.prompts,
        health_status=row.health_status,
        last_health_check=row.checked_at,
        error_message=row.error_message,
        total_executions=row.total,
        successful_executions=row.successful,
        failed_executions=row.failed,
        created_at=server.created_at,
        updated_at=server.updated_at,
    )


def discovered(offer: Offer, *, full: bool) -> DiscoveredServer:
    """Return what a server offers as it is shown."""
    return DiscoveredServer(
        server_id=offer.server.id,
        name=offer.server.definition.name,
        server_type=offer.server.definition.server_type,
        status="error" if offer.error else offer.server.status,
        available_tools=[vetted.tool.name for vetted in offer.tools if not vetted.quarantined],
        available_resources=[str(resource["uri"]) for resource in offer.resources],
        error_code=offer.error.code if offer.error else None,
        error_message=offer.error.message if offer.error else None,
        tools=[_offered(vetted) for vetted in offer.tools if not vetted.quarantined] if full else None,
        quarantined_tools=[vetted.tool.name for vetted in offer.tools if vetted.quarantined],
        available_prompts=[str(prompt["name"]) for prompt in offer.prompts],
        resources=list(offer.resources) if full else None,
        prompts=list(offer.prompts) if full else None,
    )


def _offered(vetted: VettedTool) -> dict[str, Any]:
    tool = vetted.tool
    return {**tool.definition, "definition_hash": tool.definition_hash, "findings": vetted.findings}


def execute_answer(outcome: CallOutcome) -> ExecuteAnswer:
    """Return how a call ended as it is shown."""
    failure = outcome.failure
    return ExecuteAnswer(
        execution_id=outcome.id,
        server_id=outcome.server_id,
        tool_name=outcome.tool_name,
        status="completed" if failure is None else "failed",
        tool_output=outcome.result,
        error_message=failure.message if failure else None,
        error_code=failure.code if failure else None,
        execution_time_ms=outcome.duration_ms,
        started_at=outcome.started_at,
        completed_at=outcome.completed_at,
        warnings=outcome.findings,
    )


def execution_view(row: CallRow) -> ExecutionView:
    """Return a call of the history as it is shown."""
    return ExecutionView(
        id=row.id,
        execution_id=row.id,
        server_id=row.server_id,
        tool_name=row.tool_name,
        status=row.status,
        tool_input=row.tool_input,
        tool_output=row.tool_output,
        error_message=row.error_message,
        error_code=row.error_code,
        execution_time_ms=row.duration_ms,
        server_response_time_ms=row.response_ms,
        retry_count=max(0, row.attempt - 1),
        is_retry=row.parent_id is not None,
        parent_execution_id=row.parent_id,
        agent_id=row.agent_id,
        conversation_id=row.conversation_id,
        started_at=row.started_at,
        completed_at=row.completed_at,
        warnings=row.findings,
    )
