"""Looking at servers: what they offer, and whether they live."""

import asyncio
import datetime as dt
import time
from collections.abc import Sequence
from typing import Any, Literal, Protocol
from uuid import UUID

import msgspec

from services.mcp_gateway.app.ports import Upstreams
from services.mcp_gateway.app.trust import Trust, VettedTool
from services.mcp_gateway.domain.server import Server
from services.mcp_gateway.limits import CALL_TEXT_MAX_CHARS, DISCOVER_AT_ONCE, HEALTH_CHECK_SECONDS
from shared.errors import PlatformError
from shared.scope import TenantScope


class Sighting(msgspec.Struct, frozen=True):
    """How a server was found."""

    health_status: Literal["healthy", "unhealthy"]
    checked_at: dt.datetime
    latency_ms: float
    error_message: str | None = None
    error_code: str | None = None


class Offer(msgspec.Struct, frozen=True):
    """What a server lists, offered or in quarantine, or why that is not known."""

    server: Server
    tools: Sequence[VettedTool]
    error: PlatformError | None = None


class SightingStore(Protocol):
    """Where what was seen is kept."""

    async def save_health(self, scope: TenantScope, server_id: UUID, seen: Sighting) -> None:
        """Keep the last sighting of a server."""
        ...

    async def save_tools(self, scope: TenantScope, server_id: UUID, tools: list[dict[str, Any]]) -> None:
        """Keep the tools that a server listed."""
        ...


class Sightings:
    """Discovery and health checks."""

    def __init__(self, upstreams: Upstreams, trust: Trust, store: SightingStore) -> None:
        self._upstreams = upstreams
        self._trust = trust
        self._store = store

    async def discover(self, scope: TenantScope, server: Server) -> Offer:
        """Return what a server offers, starting it if need be. Raises what that raises."""
        tools = list((await self._trust.tools(scope, server)).values())
        kept = [
            {
                "name": _plain(tool.name),
                "description": _plain(str(tool.definition.get("description") or ""))[:CALL_TEXT_MAX_CHARS],
                "definition_hash": tool.definition_hash,
            }
            for tool in (vetted.tool for vetted in tools if not vetted.quarantined)
        ]
        await self._store.save_tools(scope, server.id, kept)
        return Offer(server, tools)

    async def discover_all(self, scope: TenantScope, servers: Sequence[Server]) -> list[Offer]:
        """Return what each server offers; one that fails does not hide the others."""
        turns = asyncio.Semaphore(DISCOVER_AT_ONCE)

        async def look(server: Server) -> Offer:
            async with turns:
                try:
                    return await self.discover(scope, server)
                except PlatformError as error:
                    return Offer(server, (), error)

        return list(await asyncio.gather(*(look(server) for server in servers)))

    async def check(self, scope: TenantScope, server: Server) -> Sighting:
        """Ask a server for a sign of life and keep what came of it."""
        began = time.perf_counter()
        error: PlatformError | None = None
        try:
            await self._upstreams.ping(server, HEALTH_CHECK_SECONDS)
        except PlatformError as failure:
            error = failure
        seen = Sighting(
            "healthy" if error is None else "unhealthy",
            dt.datetime.now(dt.UTC),
            round((time.perf_counter() - began) * 1000.0, 3),
            _plain(error.message)[:CALL_TEXT_MAX_CHARS] if error else None,
            error.code if error else None,
        )
        await self._store.save_health(scope, server.id, seen)
        return seen


def _plain(text: str) -> str:
    """Texts of servers may hold NUL, which the database cannot."""
    return text.replace("\0", "")
