"""Looking at servers: what they offer, and whether they live."""

import asyncio
import datetime as dt
import logging
import time
from collections.abc import Sequence
from typing import Any, Literal, Protocol
from uuid import UUID

import msgspec

from services.mcp_gateway.app.health import Healths
from services.mcp_gateway.app.listing import PROMPTS, RESOURCES, Lists, list_all
from services.mcp_gateway.app.policy import Policies
from services.mcp_gateway.app.ports import ServerRequests, Upstreams
from services.mcp_gateway.app.trust import Trust, VettedTool
from services.mcp_gateway.domain.rpc import RpcFailed
from services.mcp_gateway.domain.server import Server
from services.mcp_gateway.limits import CALL_TEXT_MAX_CHARS, DISCOVER_AT_ONCE, HEALTH_CHECK_SECONDS, LISTED_KEPT_MAX
from shared.errors import PlatformError
from shared.scope import TenantScope

_log = logging.getLogger(__name__)


class Sighting(msgspec.Struct, frozen=True):
    """How a server was found."""

    health_status: Literal["healthy", "degraded", "unhealthy"]
    checked_at: dt.datetime
    latency_ms: float | None
    error_message: str | None = None
    error_code: str | None = None


class Offer(msgspec.Struct, frozen=True):
    """What a server lists, offered or in quarantine, or why that is not known."""

    server: Server
    tools: Sequence[VettedTool]
    error: PlatformError | None = None
    resources: Sequence[dict[str, Any]] = ()
    prompts: Sequence[dict[str, Any]] = ()


class Listed(msgspec.Struct, frozen=True):
    """What a server listed, as far as it is kept: tools, URIs of resources, names of prompts."""

    tools: list[dict[str, Any]]
    resources: list[str]
    prompts: list[str]


class SightingStore(Protocol):
    """Where what was seen is kept."""

    async def save_health(self, scope: TenantScope, server_id: UUID, seen: Sighting) -> None:
        """Keep the last sighting of a server."""
        ...

    async def save_offer(self, scope: TenantScope, server_id: UUID, seen: Listed) -> None:
        """Keep what a server listed."""
        ...


class Sightings:
    """Discovery and health checks. Servers are looked at as the rules for the whole tenant have them used."""

    def __init__(
        self,
        upstreams: Upstreams,
        requests: ServerRequests,
        trust: Trust,
        store: SightingStore,
        policies: Policies,
        healths: Healths,
    ) -> None:
        self._upstreams = upstreams
        self._requests = requests
        self._trust = trust
        self._store = store
        self._policies = policies
        self._healths = healths

    async def discover(self, scope: TenantScope, server: Server) -> Offer:
        """Return what a server offers, starting it if need be. Raises what that raises."""
        used = (await self._policies.of(scope, server.id)).used(server)
        tools = list((await self._trust.tools(scope, used)).values())
        resources, prompts = await self._list(used, RESOURCES), await self._list(used, PROMPTS)
        kept = [
            {
                "name": _plain(tool.name),
                "description": _plain(str(tool.definition.get("description") or ""))[:CALL_TEXT_MAX_CHARS],
                "definition_hash": tool.definition_hash,
            }
            for tool in (vetted.tool for vetted in tools if not vetted.quarantined)
        ]
        await self._store.save_offer(scope, server.id, Listed(kept, _names(resources), _names(prompts)))
        return Offer(
            server, tools, None, [definition for _, definition in resources], [definition for _, definition in prompts]
        )

    async def _list(self, server: Server, lists: Lists) -> list[tuple[str, dict[str, Any]]]:
        """Return what a server lists. One that lists badly has its tools all the same."""
        if lists.capability not in (await self._requests.about(server)).capabilities:
            return []
        try:
            return await list_all(self._requests, server, lists)
        except (PlatformError, RpcFailed, msgspec.DecodeError, RecursionError) as error:
            _log.info("%s of %s cannot be had: %s", lists.key, server.definition.slug, error)
            return []

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
        """Ask a server for a sign of life, starting it if need be, and keep what came of it."""
        used = (await self._policies.of(scope, server.id)).used(server)
        began = time.perf_counter()
        error: PlatformError | None = None
        try:
            await self._upstreams.ping(used, HEALTH_CHECK_SECONDS)
        except PlatformError as failure:
            error = failure
        return await self._keep(scope, server, began, error)

    async def probe(self, scope: TenantScope, server: Server) -> None:
        """Ask a server that runs, in the way in which it is used, for a sign of life, and keep what came of it."""
        began = time.perf_counter()
        error: PlatformError | None = None
        try:
            if not await self._upstreams.probe(server, HEALTH_CHECK_SECONDS):
                return
        except PlatformError as failure:
            error = failure
        await self._keep(scope, server, began, error)

    async def _keep(self, scope: TenantScope, server: Server, began: float, error: PlatformError | None) -> Sighting:
        found = self._healths.status(server) or "healthy"
        seen = Sighting(
            "unhealthy" if error is not None and found == "healthy" else found,
            dt.datetime.now(dt.UTC),
            round((time.perf_counter() - began) * 1000.0, 3),
            _plain(error.message)[:CALL_TEXT_MAX_CHARS] if error else None,
            error.code if error else None,
        )
        await self._store.save_health(scope, server.id, seen)
        return seen


def _names(listed: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    return [_plain(name)[:CALL_TEXT_MAX_CHARS] for name, _ in listed[:LISTED_KEPT_MAX]]


def _plain(text: str) -> str:
    """Texts of servers may hold NUL, which the database cannot."""
    return text.replace("\0", "")
