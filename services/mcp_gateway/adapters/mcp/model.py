"""What a session gives back: tool definitions, results, and who the server says it is."""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from services.mcp_gateway.app.relay import Client, Era, Relay

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
    icons: list[Any] | None = None
    meta: dict[str, Any] | None = msgspec.field(default=None, name="_meta")


class ToolResult(msgspec.Struct, frozen=True):
    """What a call gave. `is_error`: the tool says that it failed, and `content` says why.

    `raw` is the whole result as the server wrote it. `input_required`: the server wants something of the client
    first, and `raw` says what (2026-07-28).
    """

    content: list[dict[str, Any]]
    structured: dict[str, Any] | None
    is_error: bool
    duration_ms: float
    raw: msgspec.Raw = msgspec.Raw()
    input_required: bool = False


class Opening(msgspec.Struct, frozen=True):
    """How a session is opened: the era that is tried first, and the client in whose name it is."""

    era: Era | None = None
    client: Client | None = None
    on_notification: NotificationHandler | None = None


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

    @property
    def capabilities(self) -> dict[str, Any]: ...

    @property
    def instructions(self) -> str | None: ...

    async def list_tools(self) -> list[ToolDefinition]: ...

    async def call_tool(
        self,
        name: str,
        arguments: dict[str, Any],
        *,
        timeout: float,  # noqa: ASYNC109 - each transport cancels in its own way when the time is over
        relay: Relay | None = None,
    ) -> ToolResult: ...

    async def request(
        self,
        method: str,
        params: dict[str, Any],
        *,
        timeout: float,  # noqa: ASYNC109 - as above
        relay: Relay | None = None,
    ) -> msgspec.Raw: ...

    async def follow(self, uris: frozenset[str]) -> None: ...

    async def ping(self, timeout: float) -> None: ...  # noqa: ASYNC109 - as above

    async def close(self) -> None: ...
