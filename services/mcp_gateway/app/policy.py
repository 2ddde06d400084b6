"""Which rules hold for a call, and whether it may be made now."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Protocol
from uuid import UUID

from services.mcp_gateway.domain.config import Config
from services.mcp_gateway.domain.policy import OPEN_POLICY, OUTSIDE_PROFILE, Policy
from services.mcp_gateway.domain.rate import Bucket
from services.mcp_gateway.errors import ToolDenied
from services.mcp_gateway.limits import RATE_BUCKETS_MAX
from shared.errors import RateLimited
from shared.scope import TenantScope

_NANO = 1_000_000_000


class TenantConfigs:
    """All configs of one tenant, by what they are for. What follows from them is worked out when first asked for."""

    def __init__(self, configs: Iterable[Config]) -> None:
        self._configs: dict[UUID, dict[tuple[UUID | None, str | None], Config]] = {}
        self._policies: dict[tuple[UUID, UUID | None, str | None], Policy] = {}
        self._profiles: dict[str, list[UUID]] = {}
        self.count = 0
        for config in configs:
            said = config.definition
            self._configs.setdefault(said.server_id, {})[said.agent_id, said.profile] = config
            if said.profile is not None:
                self._profiles.setdefault(said.profile, []).append(said.server_id)
            self.count += 1

    def policy(self, server_id: UUID, agent_id: UUID | None, profile: str | None) -> Policy:
        """Return what holds for calls of a server by an agent under a profile."""
        of_server = self._configs.get(server_id)
        if profile is not None and (of_server is None or (None, profile) not in of_server):
            return OUTSIDE_PROFILE
        if of_server is None:
            return OPEN_POLICY
        # Agents without a config share one entry: their ids come from callers and would never end.
        agent = agent_id if (agent_id, None) in of_server else None
        key = (server_id, agent, profile)
        policy = self._policies.get(key)
        if policy is None:
            scopes = dict.fromkeys([(None, None), (agent, None), (None, profile)])
            policy = Policy(of_server[scope] for scope in scopes if scope in of_server)
            self._policies[key] = policy
        return policy

    def servers_of(self, profile: str) -> list[UUID]:
        """Return the servers that a profile has configs for."""
        return list(self._profiles.get(profile, ()))


class ConfigSource(Protocol):
    """Where configs are looked up."""

    async def of_tenant(self, scope: TenantScope) -> TenantConfigs:
        """Return the tenant's configs, seconds old at most. Raises `Unavailable` if they cannot be known."""
        ...


class Policies:
    """The rules of calls, and the buckets of their rates. Buckets are this process's own."""

    def __init__(self, configs: ConfigSource, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._configs = configs
        self._clock = clock
        self._buckets: OrderedDict[tuple[UUID, UUID], Bucket] = OrderedDict()

    async def of(
        self, scope: TenantScope, server_id: UUID, agent_id: UUID | None = None, profile: str | None = None
    ) -> Policy:
        """Return what holds for calls of a server. Raises `Unavailable` rather than to allow what it cannot know."""
        return (await self._configs.of_tenant(scope)).policy(server_id, agent_id, profile)

    async def profile_servers(self, scope: TenantScope, profile: str) -> list[UUID]:
        """Return the servers of a profile; none means that there is no such profile."""
        return (await self._configs.of_tenant(scope)).servers_of(profile)

    def admit(self, scope: TenantScope, policy: Policy) -> None:
        """Take a token from each limit's bucket, or from none. Raises `RateLimited` with the config that lacks one."""
        if not policy.limits:
            return
        now = self._clock()
        buckets = [(limit, self._bucket(scope.tenant_id, limit.config_id, limit.per_minute, now))
                   for limit in policy.limits]  # fmt: skip
        limit, bucket = max(buckets, key=lambda pair: pair[1].wait)
        if bucket.wait > 0:
            raise RateLimited(
                f"The config {limit.config_id} allows {limit.per_minute} calls a minute; they are used up.",
                details={
                    "config_id": str(limit.config_id),
                    "limit": limit.per_minute,
                    "remaining": bucket.remaining,
                    "reset": -(-bucket.reset // _NANO),
                },
                retry_after=bucket.wait / _NANO,
            )
        for _, bucket in buckets:
            bucket.take()

    def _bucket(self, tenant_id: UUID, config_id: UUID, per_minute: int, now: int) -> Bucket:
        key = (tenant_id, config_id)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(per_minute, now)
            if len(self._buckets) > RATE_BUCKETS_MAX:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
            bucket.refill(per_minute, now)
        return bucket


def check_allowed(policy: Policy, tool: str, profile: str | None = None) -> None:
    """Raise `ToolDenied` unless the policy allows a tool."""
    decision = policy.decide(tool)
    if decision.allowed:
        return
    details = {"tool": tool, "why": decision.why}
    if decision.config_id is None:
        raise ToolDenied(f"The profile {profile!r} does not offer this server.", details=details)
    what = "switches this server off" if decision.why == "enabled" else f"does not allow the tool {tool!r}"
    raise ToolDenied(
        f"The config {decision.config_id} {what} (`{decision.why}`).",
        details={**details, "config_id": str(decision.config_id)},
    )
