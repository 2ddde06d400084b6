"""The way to a server: a session with it, or, for one that the platform itself is, the part of the platform."""

from collections.abc import Mapping
from typing import Any

from services.mcp_gateway.adapters.mcp.place import SessionState
from services.mcp_gateway.adapters.upstreams import PooledUpstreams
from services.mcp_gateway.app.ports import Caller, KnownTool, Relay, ToolAnswer, Upstreams
from services.mcp_gateway.domain.server import PLATFORM, Server
from services.mcp_gateway.errors import ServerUnavailable


class RoutedUpstreams:
    """`Upstreams` and `Sessions`. `platform` has the servers of the type `platform` by slug."""

    def __init__(self, pooled: PooledUpstreams, platform: Mapping[str, Upstreams]) -> None:
        self._pooled = pooled
        self._platform = platform

    async def tools(self, server: Server) -> dict[str, KnownTool]:
        """Return the server's tools by name."""
        return await self._to(server).tools(server)

    async def call(
        self,
        server: Server,
        tool: str,
        arguments: dict[str, Any],
        seconds: float,
        relay: Relay | None = None,
        caller: Caller | None = None,
    ) -> ToolAnswer:
        """Call a tool once."""
        return await self._to(server).call(server, tool, arguments, seconds, relay, caller)

    async def ping(self, server: Server, seconds: float) -> None:
        """Ask for a sign of life."""
        await self._to(server).ping(server, seconds)

    async def forget(self, server: Server) -> None:
        """End the sessions of this definition, if it has any."""
        if not _is_platform(server):
            await self._pooled.forget(server)

    def state(self, server: Server) -> SessionState | None:
        """Return the state of the server's session, if there is one."""
        return None if _is_platform(server) else self._pooled.state(server)

    def _to(self, server: Server) -> Upstreams:
        if not _is_platform(server):
            return self._pooled
        part = self._platform.get(server.definition.slug)
        if part is None:
            raise ServerUnavailable(f"The platform has no server {server.definition.slug!r}.")
        return part


def _is_platform(server: Server) -> bool:
    return server.definition.server_type == PLATFORM
