"""What requests read: the registry with health and counters, and the history of calls."""

import datetime as dt
from typing import Any, Protocol
from uuid import UUID

import msgspec

from services.mcp_gateway.domain.screening import Finding
from services.mcp_gateway.domain.server import Server
from shared.paging import Place
from shared.scope import TenantScope


class ServerRow(msgspec.Struct, frozen=True):
    """A server with what was last seen and counted of it."""

    server: Server
    health_status: str
    checked_at: dt.datetime | None
    latency_ms: float | None
    error_message: str | None
    tools: list[dict[str, Any]]
    resources: list[str]
    prompts: list[str]
    total: int
    successful: int
    failed: int


class ServerFilter(msgspec.Struct, frozen=True):
    """Which servers; None does not narrow."""

    id: UUID | None = None
    status: str | None = None
    category: str | None = None
    server_type: str | None = None


class CallFilter(msgspec.Struct, frozen=True):
    """Which calls; None does not narrow."""

    server_id: UUID | None = None
    tool_name: str | None = None
    status: str | None = None


class CallRow(msgspec.Struct, frozen=True):
    """A call of the history. In lists, what is larger than 64 KiB is left out."""

    id: UUID
    server_id: UUID
    tool_name: str
    agent_id: UUID | None
    conversation_id: UUID | None
    status: str
    error_code: str | None
    error_message: str | None
    duration_ms: float | None
    response_ms: float | None
    attempt: int
    parent_id: UUID | None
    started_at: dt.datetime
    completed_at: dt.datetime | None
    tool_input: dict[str, Any] | None
    tool_output: Any
    findings: tuple[Finding, ...] = ()


class Reads(Protocol):
    """One tenant's rows."""

    async def servers(
        self, scope: TenantScope, wanted: ServerFilter, limit: int, offset: int = 0, after: Place | None = None
    ) -> tuple[list[ServerRow], int]:
        """Return a page of servers in the order of their registration, and how many there are in all."""
        ...

    async def calls(
        self, scope: TenantScope, wanted: CallFilter, limit: int, offset: int, before: Place | None
    ) -> tuple[list[CallRow], int]:
        """Return a page of calls, the latest first, and how many there are in all."""
        ...

    async def call(self, scope: TenantScope, call_id: UUID) -> CallRow | None:
        """Return one call in full."""
        ...
