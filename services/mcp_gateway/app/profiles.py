"""What a profile of the MCP endpoint shows: `/mcp` all servers of the tenant, `/mcp/<profile>` some of them."""

import time
from collections.abc import Sequence
from uuid import UUID

import msgspec

from services.mcp_gateway.app.policy import Policies
from services.mcp_gateway.app.ports import ServerRegistry
from services.mcp_gateway.app.reading import Reads, ServerFilter
from services.mcp_gateway.domain.policy import Policy
from services.mcp_gateway.domain.server import Server
from services.mcp_gateway.limits import (
    OFFERS_CACHED,
    OFFERS_FRESH_SECONDS,
    PROFILES_KEPT,
    SERVERS_PER_TENANT_MAX,
)
from shared.errors import NotFound
from shared.ids import id_of
from shared.scope import TenantScope


class Shown(msgspec.Struct, frozen=True):
    """The servers of a profile, as its callers use them, and in whose name these call.

    `agent_id` and `profile` are those that configs are for; a server's slug as a profile is neither.
    """

    servers: Sequence[Server]
    policies: dict[UUID, Policy]
    agent_id: UUID | None = None
    profile: str | None = None


class Profiles:
    """Looks profiles up. A profile is one that configs name, an agent's id, or a server's slug, in this order."""

    def __init__(self, registry: ServerRegistry, reads: Reads, policies: Policies) -> None:
        self._registry = registry
        self._reads = reads
        self._policies = policies
        self._kept: dict[UUID, dict[str | None, tuple[float, Shown]]] = {}
        self._forgotten = 0

    def forget(self, tenant_id: UUID) -> None:
        """Look a tenant's servers and configs up anew. What is being read now is not kept."""
        self._kept.pop(tenant_id, None)
        self._forgotten += 1

    async def resolve(self, scope: TenantScope, profile: str | None) -> Shown:
        """Return what a profile shows, in the order of registration. Raises `NotFound` for an unknown one."""
        of_tenant = self._kept.get(scope.tenant_id, {})
        until, shown = of_tenant.get(profile, (0.0, None))
        now, forgotten = time.monotonic(), self._forgotten
        if shown is not None and until > now:
            return shown
        shown = await self._look(scope, profile)
        if self._forgotten != forgotten:
            return shown
        if len(self._kept) >= OFFERS_CACHED:
            self._kept.clear()
        of_tenant = self._kept.setdefault(scope.tenant_id, {})
        if len(of_tenant) >= PROFILES_KEPT:  # ids of agents come from callers and would never end
            of_tenant.clear()
        of_tenant[profile] = (now + OFFERS_FRESH_SECONDS, shown)
        return shown

    async def known(self, scope: TenantScope, profile: str) -> None:
        """Raise `NotFound` unless the tenant has this profile."""
        await self.resolve(scope, profile)

    async def servers(self, scope: TenantScope, profile: str | None) -> Sequence[Server]:
        """Return the servers of a profile. Raises `NotFound` for an unknown one."""
        return (await self.resolve(scope, profile)).servers

    async def _look(self, scope: TenantScope, profile: str | None) -> Shown:
        await self._registry.furnish(scope)
        rows, _ = await self._reads.servers(scope, ServerFilter(status="active"), SERVERS_PER_TENANT_MAX)
        servers = [row.server for row in rows]
        if profile is None:
            return await self._shown(scope, servers)
        named = set(await self._policies.profile_servers(scope, profile))
        if named:
            return await self._shown(scope, [s for s in servers if s.id in named], profile=profile)
        agent_id = id_of(profile)
        if agent_id is not None:
            return await self._shown(scope, servers, agent_id=agent_id)
        own = [server for server in servers if server.definition.slug == profile]
        if not own:
            raise NotFound(f"There is no profile {profile[:80]!r} of the MCP endpoint.")
        return await self._shown(scope, own)

    async def _shown(
        self,
        scope: TenantScope,
        servers: Sequence[Server],
        agent_id: UUID | None = None,
        profile: str | None = None,
    ) -> Shown:
        policies = {server.id: await self._policies.of(scope, server.id, agent_id, profile) for server in servers}
        used = [policies[server.id].used(server) for server in servers if policies[server.id].enabled]
        return Shown(used, policies, agent_id, profile)
