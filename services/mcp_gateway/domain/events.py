"""The gateway's events. Arguments are stored as they were asked for, before any secret is filled in."""

import datetime as dt
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from services.mcp_gateway.domain.server import ServerDefinition
from shared.eventstore.catalogue import DomainEvent, EventCatalogue


class ServerRegistered(DomainEvent, frozen=True):
    """A tenant has a new MCP server."""

    TYPE: ClassVar[str] = "mcp.server-registered.v1"
    PUBLIC: ClassVar[bool] = True
    definition: ServerDefinition


class ServerChanged(DomainEvent, frozen=True):
    """The server is described anew. `revision` grows when it has to be started anew for that."""

    TYPE: ClassVar[str] = "mcp.server-changed.v1"
    PUBLIC: ClassVar[bool] = True
    definition: ServerDefinition
    status: str
    revision: int


class ServerRemoved(DomainEvent, frozen=True):
    """The server is not in the registry any more."""

    TYPE: ClassVar[str] = "mcp.server-removed.v1"
    PUBLIC: ClassVar[bool] = True
    slug: str


class CatalogueEntryAdded(DomainEvent, frozen=True):
    """A tenant's catalogue has a server that can be installed; `server` is its `server.json`."""

    TYPE: ClassVar[str] = "mcp.entry-added.v1"
    PUBLIC: ClassVar[bool] = True
    server: dict[str, Any]


class CatalogueEntryRemoved(DomainEvent, frozen=True):
    """The entry is not in the tenant's catalogue any more. Servers that were installed from it stay."""

    TYPE: ClassVar[str] = "mcp.entry-removed.v1"
    PUBLIC: ClassVar[bool] = True
    name: str


class ToolCallRequested(DomainEvent, frozen=True):
    """A call was accepted. For a tool that acts, this is durable before the tool hears of it."""

    TYPE: ClassVar[str] = "mcp.tool-call-requested.v1"
    server_id: UUID
    tool_name: str
    arguments: dict[str, Any]
    requested_at: dt.datetime
    definition_hash: str | None = None
    agent_id: UUID | None = None
    conversation_id: UUID | None = None
    task_id: str | None = None
    attempt: int = 1
    parent_id: UUID | None = None
    timeout_seconds: float | None = None


class ToolCallCompleted(DomainEvent, frozen=True):
    """The tool gave a result. Times are milliseconds: of the whole call, and of the server's part in it."""

    TYPE: ClassVar[str] = "mcp.tool-call-completed.v1"
    PUBLIC: ClassVar[bool] = True
    server_id: UUID
    tool_name: str
    result: Any
    duration_ms: float
    response_ms: float
    completed_at: dt.datetime


class ToolCallFailed(DomainEvent, frozen=True):
    """The call ended without a result: refused, failed, timed out or interrupted."""

    TYPE: ClassVar[str] = "mcp.tool-call-failed.v1"
    PUBLIC: ClassVar[bool] = True
    server_id: UUID
    tool_name: str
    code: str
    message: str
    retryable: bool
    duration_ms: float
    completed_at: dt.datetime
    response_ms: float | None = None
    details: dict[str, Any] = msgspec.field(default_factory=dict)


CATALOGUE = EventCatalogue(
    [
        ServerRegistered,
        ServerChanged,
        ServerRemoved,
        CatalogueEntryAdded,
        CatalogueEntryRemoved,
        ToolCallRequested,
        ToolCallCompleted,
        ToolCallFailed,
    ]
)
