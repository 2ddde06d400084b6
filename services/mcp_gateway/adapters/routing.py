"""The way to a server: a session with it, or, for one that the platform itself is, the part of the platform."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from services.mcp_gateway.adapters.mcp.place import SessionState
from services.mcp_gateway.adapters.secret_upstreams import SecretUpstreams
from services.mcp_gateway.app.ports import Caller, KnownTool, ServerFacts, ToolAnswer, Upstreams
from services.mcp_gateway.app.relay import Client, Relay
from services.mcp_gateway.domain.rpc import METHOD_NOT_FOUND, refused
from services.mcp_gateway.domain.server import PLATFORM, Server
from services.mcp_gateway.errors import ServerUnavailable

_ONLY_TOOLS = ServerFacts({"tools": {}})


class RoutedUpstreams:
    """`Upstreams`, `ServerRequests` and `Sessions`. `platform` has the servers of the type `platform` by slug."""

    def __init__(self, pooled: SecretUpstreams, platform: Mapping[str, Upstreams]) -> None:
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

    async def probe(self, server: Server, seconds: float) -> bool:
        """Ask a session that lives for a sign of life. The platform's parts have none."""
        return False if _is_platform(server) else await self._pooled.probe(server, seconds)

    async def forget(self, server: Server) -> None:
        """End the sessions of this definition, if it has any."""
        if not _is_platform(server):
            await self._pooled.forget(server)

    def state(self, server: Server) -> SessionState | None:
        """Return the state of the server's session, if there is one."""
        return None if _is_platform(server) else self._pooled.state(server)

    async def about(self, server: Server) -> ServerFacts:
        """Return what the server says of itself."""
        return _ONLY_TOOLS if _is_platform(server) else await self._pooled.about(server)

    async def request(
        self, server: Server, method: str, params: dict[str, Any], seconds: float, relay: Relay | None = None
    ) -> msgspec.Raw:
        """Return the result of a request as the server wrote it."""
        if _is_platform(server):
            raise refused(METHOD_NOT_FOUND, f"The server {server.definition.slug!r} has tools only.")
        return await self._pooled.request(server, method, params, seconds, relay)

    async def follow(self, wanted: Sequence[tuple[Server, frozenset[str]]]) -> None:
        """Have servers tell of changes until cancelled; the platform's tell unasked."""
        await self._pooled.follow([(server, uris) for server, uris in wanted if not _is_platform(server)])

    async def leave(self, tenant_id: UUID, client: Client) -> None:
        """End the sessions that were opened for this client alone."""
        await self._pooled.leave(tenant_id, client)

    def _to(self, server: Server) -> Upstreams:
        if not _is_platform(server):
            return self._pooled
        part = self._platform.get(server.definition.slug)
        if part is None:
            raise ServerUnavailable(f"The platform has no server {server.definition.slug!r}.")
        return part


def _is_platform(server: Server) -> bool:
    return server.definition.server_type == PLATFORM
