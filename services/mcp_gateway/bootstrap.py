"""Wires the MCP gateway."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

from faststream.nats import NatsMessage

from services.mcp_gateway.adapters.configs import Configs
from services.mcp_gateway.adapters.health_changes import HealthChanges
from services.mcp_gateway.adapters.launching import BUNDLED_SERVERS, Launcher, read_commands
from services.mcp_gateway.adapters.mcp.arguments import ArgumentValidator
from services.mcp_gateway.adapters.records import CallRecords
from services.mcp_gateway.adapters.registry import Registry
from services.mcp_gateway.adapters.upstreams import PooledUpstreams
from services.mcp_gateway.adapters.views import Views
from services.mcp_gateway.app.calls import ToolCalls
from services.mcp_gateway.app.health import Healths
from services.mcp_gateway.app.health_checks import HealthChecks
from services.mcp_gateway.app.policy import Policies
from services.mcp_gateway.app.sightings import Sightings
from services.mcp_gateway.config import McpGatewaySettings
from services.mcp_gateway.domain.events import CATALOGUE
from services.mcp_gateway.entry.api import make_api
from services.mcp_gateway.entry.consumer import SUBJECT, ToolTasks
from services.mcp_gateway.entry.servers_api import Gateway
from services.mcp_gateway.metrics import Metrics
from shared.bus.broker import whole_message
from shared.bus.cloudevents import tenant_of
from shared.limits import TASKS_HELD_MAX
from shared.net.guard import parse_allowed_hosts
from shared.runtime import Runtime, open_runtime

NAME = "mcp_gateway"


async def run(settings: McpGatewaySettings) -> None:
    """Serve until SIGTERM."""
    async with open_runtime(NAME, settings) as rt:
        launcher = Launcher(
            read_commands(settings.mcp_gateway_commands),
            parse_allowed_hosts(settings.allowed_hosts),
            Path(settings.data_dir).resolve() / "tenants",
        )
        metrics = Metrics(rt.registry)
        changes = HealthChanges(rt.log, Views(rt.tenants), rt.waker, metrics.observe_health)
        rt.background("mcp health changes", changes.run)
        healths = Healths(changes.announce)
        upstreams = PooledUpstreams(launcher, healths)
        async with upstreams.pool:
            await _serve(rt, launcher, upstreams, healths, metrics)


async def _serve(
    rt: Runtime, launcher: Launcher, upstreams: PooledUpstreams, healths: Healths, metrics: Metrics
) -> None:
    bundled = [server.definition() for server in BUNDLED_SERVERS.values()]
    registry = Registry(rt.tenants, bundled, rt.waker.wake)
    records = CallRecords(rt.log, rt.worker_pool, rt.waker)
    views = Views(rt.tenants)
    configs = Configs(rt.tenants, rt.waker.wake)
    policies = Policies(configs)
    calls = ToolCalls(registry, policies, upstreams, records, ArgumentValidator().check, metrics.observe_call)
    sightings = Sightings(upstreams, views, policies, healths)
    metrics.watch(
        records_pending=lambda: records.pending,
        sessions_alive=lambda: sum(state.alive for state in upstreams.pool.states()),
        left_alone=lambda: healths.left_alone,
    )

    rt.work_on(SUBJECT, ToolTasks(calls).do, concurrency=TASKS_HELD_MAX)
    rt.background("mcp health checks", HealthChecks(upstreams, sightings).run)
    _hear_of_changes(rt, registry, configs)
    rt.relay(CATALOGUE.public_types)
    records.start()
    rt.on_close(records.close)
    gateway = Gateway(rt.tenants, registry, views, sightings, healths, upstreams, launcher)
    await rt.serve(make_api(rt, gateway, configs, calls, records))


def _hear_of_changes(rt: Runtime, registry: Registry, configs: Configs) -> None:
    """Forget what is cached of a tenant's servers and configs when any replica changed one of them."""
    for aggregate, forget in (("server", registry.forget), ("config", configs.forget)):
        rt.broker.subscriber(f"events.*.{NAME}.{aggregate}.*", decoder=whole_message, no_reply=True)(
            _forgetting(forget)
        )


def _forgetting(forget: Callable[[UUID], None]) -> Callable[[NatsMessage], Awaitable[None]]:
    async def on_change(message: NatsMessage) -> None:
        forget(tenant_of(message.raw_message.subject))

    return on_change
