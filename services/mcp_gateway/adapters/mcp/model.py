"""What a session gives back: tool definitions, results, and who the server says it is."""

from collections.abc import Callable
from typing import Any, Literal, Protocol

import msgspec

Era = Literal["handshake", "modern"]
"""`handshake`: revisions up to 2025-11-25, opened by `initialize`. `modern`: from 2026-07-28, stateless."""

NotificationHandler = Callable[[str, Any], None]
"""Called with the method and the decoded params of each notification of a server; must not block or raise."""


class ServerInfo(msgspec.Struct, frozen=True):
    """What the server says of itself. Not verified: for display only."""

    name: str = ""
    version: str = ""
    title: str | None = None


class ToolDefinition(msgspec.Struct, frozen=True, rename="camel"):
    """One tool as its server lists it."""

    name: str
    input_schema: dict[str, Any]
    title: str | None = None
    description: str = ""
    output_schema: dict[str, Any] | None = None
    annotations: dict[str, Any] | None = None


class ToolResult(msgspec.Struct, frozen=True):
    """What a call gave. `is_error`: the tool says that it failed, and `content` says why."""

    content: list[dict[str, Any]]
    structured: dict[str, Any] | None
    is_error: bool
    duration_ms: float


class Session(Protocol):
    """A live conversation with one MCP server, whatever the transport. Any number of calls may run at once."""

    @property
    def alive(self) -> bool: ...

    @property
    def server_info(self) -> ServerInfo: ...

    @property
    def protocol_version(self) -> str: ...

    @property
    def era(self) -> Era: ...

    async def list_tools(self) -> list[ToolDefinition]: ...

    async def call_tool(
        self,
        name: str,
        arguments: dict[str, Any],
        *,
        timeout: float,  # noqa: ASYNC109 - each transport cancels in its own way when the time is over
    ) -> ToolResult: ...

    async def ping(self, timeout: float) -> None: ...  # noqa: ASYNC109 - as above

    async def close(self) -> None: ...
