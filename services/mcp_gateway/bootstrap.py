"""Wires the MCP gateway."""

from pathlib import Path

from faststream.nats import NatsMessage

from services.mcp_gateway.adapters.launching import BUNDLED_SERVERS, Launcher, read_commands
from services.mcp_gateway.adapters.mcp.arguments import ArgumentValidator
from services.mcp_gateway.adapters.mcp.pool import SessionPool
from services.mcp_gateway.adapters.records import CallRecords
from services.mcp_gateway.adapters.registry import Registry
from services.mcp_gateway.adapters.secret_upstreams import SecretUpstreams
from services.mcp_gateway.adapters.upstreams import PooledUpstreams
from services.mcp_gateway.adapters.views import Views
from services.mcp_gateway.app.calls import ToolCalls
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
from shared.secrets.opening import open_secrets
from shared.secrets.source import SecretSource

NAME = "mcp_gateway"


async def run(settings: McpGatewaySettings) -> None:
    """Serve until SIGTERM."""
    async with open_runtime(NAME, settings) as rt:
        launcher = Launcher(
            read_commands(settings.mcp_gateway_commands),
            parse_allowed_hosts(settings.allowed_hosts),
            Path(settings.data_dir).resolve() / "tenants",
        )
        pooled = PooledUpstreams(launcher)
        secrets = open_secrets(rt, settings.mcp_gateway_secrets_seed, "AGENTIC_MCP_GATEWAY_SECRETS_SEED")
        async with pooled.pool:
            await _serve(rt, launcher, pooled.pool, SecretUpstreams(pooled, secrets), secrets)


async def _serve(
    rt: Runtime, launcher: Launcher, pool: SessionPool, upstreams: SecretUpstreams, secrets: SecretSource
) -> None:
    metrics = Metrics(rt.registry)
    bundled = [server.definition() for server in BUNDLED_SERVERS.values()]
    registry = Registry(rt.tenants, bundled, rt.waker.wake)
    records = CallRecords(rt.log, rt.worker_pool, rt.waker)
    views = Views(rt.tenants)
    calls = ToolCalls(registry, upstreams, records, ArgumentValidator().check, metrics.observe_call, secrets)
    metrics.watch(
        records_pending=lambda: records.pending,
        sessions_alive=lambda: sum(state.alive for state in pool.states()),
    )

    rt.work_on(SUBJECT, ToolTasks(calls).do, concurrency=TASKS_HELD_MAX)
    _hear_of_changes(rt, registry)
    rt.relay(CATALOGUE.public_types)
    records.start()
    rt.on_close(records.close)
    gateway = Gateway(rt.tenants, registry, views, Sightings(upstreams, views), upstreams, launcher)
    await rt.serve(make_api(rt, gateway, calls, records))


def _hear_of_changes(rt: Runtime, registry: Registry) -> None:
    """Forget what is cached of a tenant's servers when any replica changed one of them."""

    async def on_change(message: NatsMessage) -> None:
        registry.forget(tenant_of(message.raw_message.subject))

    rt.broker.subscriber(f"events.*.{NAME}.server.*", decoder=whole_message, no_reply=True)(on_change)
