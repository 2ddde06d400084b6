"""The gateway's events. Arguments are stored as they were asked for, before any secret is filled in."""

import datetime as dt
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from services.mcp_gateway.domain.diff import Change
from services.mcp_gateway.domain.screening import Finding
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


class ToolApproved(DomainEvent, frozen=True):
    """This definition of a tool is the one that is offered.

    `approved_by` is a person, the one who registered the server for its first listing, or `platform` for a server that
    comes with it. A bundled server's new definitions are approved by themselves.
    """

    TYPE: ClassVar[str] = "mcp.tool-approved.v1"
    PUBLIC: ClassVar[bool] = True
    server_id: UUID
    tool_name: str
    definition_hash: str
    definition: dict[str, Any]
    approved_by: str
    at: dt.datetime
    findings: list[Finding] = msgspec.field(default_factory=list)


class ToolQuarantined(DomainEvent, frozen=True):
    """A server describes a tool in a way that nobody approved: it is not offered and cannot be called.

    `reason`: `changed`, with the `diff` from the approved definition; `new`, a tool that was not there; `unapproved`
    and `flagged`, at a server's first listing.
    """

    TYPE: ClassVar[str] = "mcp.tool-quarantined.v1"
    PUBLIC: ClassVar[bool] = True
    server_id: UUID
    tool_name: str
    definition_hash: str
    definition: dict[str, Any]
    reason: str
    at: dt.datetime
    approved_hash: str | None = None
    diff: list[Change] = msgspec.field(default_factory=list)
    findings: list[Finding] = msgspec.field(default_factory=list)


class ToolReleased(DomainEvent, frozen=True):
    """The tool is as it was approved again: the server describes it so, or `dismissed_by` decided it."""

    TYPE: ClassVar[str] = "mcp.tool-released.v1"
    PUBLIC: ClassVar[bool] = True
    server_id: UUID
    tool_name: str
    definition_hash: str
    at: dt.datetime
    dismissed_by: str | None = None


class ToolCallRequested(DomainEvent, frozen=True):
    """A call was accepted. For a tool that acts, this is durable before the tool hears of it.

    `policy` says what was decided about it, and by which rules.
    """

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
    policy: dict[str, Any] = msgspec.field(default_factory=dict)


class ToolCallCompleted(DomainEvent, frozen=True):
    """The tool gave a result. Times are milliseconds: of the whole call, and of the server's part in it.

    `findings` are what the screening of the result found, here as in a failure.
    """

    TYPE: ClassVar[str] = "mcp.tool-call-completed.v1"
    PUBLIC: ClassVar[bool] = True
    server_id: UUID
    tool_name: str
    result: Any
    duration_ms: float
    response_ms: float
    completed_at: dt.datetime
    findings: list[Finding] = msgspec.field(default_factory=list)


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
    findings: list[Finding] = msgspec.field(default_factory=list)


CATALOGUE = EventCatalogue(
    [
        ServerRegistered,
        ServerChanged,
        ServerRemoved,
        ToolApproved,
        ToolQuarantined,
        ToolReleased,
        ToolCallRequested,
        ToolCallCompleted,
        ToolCallFailed,
    ]
)
