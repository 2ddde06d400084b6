"""Which servers a profile of the MCP endpoint shows: `/mcp` all of the tenant, `/mcp/<profile>` some."""

import time
from collections.abc import Sequence
from uuid import UUID

from services.mcp_gateway.app.ports import ServerRegistry
from services.mcp_gateway.app.reading import Reads, ServerFilter
from services.mcp_gateway.domain.server import Server
from services.mcp_gateway.limits import OFFERS_CACHED, OFFERS_FRESH_SECONDS, SERVERS_PER_TENANT_MAX
from shared.errors import NotFound
from shared.scope import TenantScope


class Profiles:
    """Looks profiles up, through a cache of seconds. A server's slug is a profile of that server alone."""

    def __init__(self, registry: ServerRegistry, reads: Reads) -> None:
        self._registry = registry
        self._reads = reads
        self._kept: dict[UUID, tuple[float, Sequence[Server]]] = {}

    def forget(self, tenant_id: UUID) -> None:
        """Look a tenant's servers up anew."""
        self._kept.pop(tenant_id, None)

    async def servers(self, scope: TenantScope, profile: str | None) -> Sequence[Server]:
        """Return the servers in the order of their registration. Raises `NotFound` for an unknown profile."""
        servers = await self._active(scope)
        if profile is None:
            return servers
        shown = [server for server in servers if server.definition.slug == profile]
        if not shown:
            raise NotFound(f"There is no profile {profile[:80]!r} of the MCP endpoint.")
        return shown

    async def known(self, scope: TenantScope, profile: str) -> None:
        """Raise `NotFound` unless the tenant has this profile."""
        await self.servers(scope, profile)

    async def _active(self, scope: TenantScope) -> Sequence[Server]:
        until, servers = self._kept.get(scope.tenant_id, (0.0, ()))
        if until > time.monotonic():
            return servers
        await self._registry.furnish(scope)
        rows, _ = await self._reads.servers(scope, ServerFilter(status="active"), SERVERS_PER_TENANT_MAX)
        servers = [row.server for row in rows]
        if len(self._kept) >= OFFERS_CACHED:
            self._kept.clear()
        self._kept[scope.tenant_id] = (time.monotonic() + OFFERS_FRESH_SECONDS, servers)
        return servers
