"""Wires the MCP gateway."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from uuid import UUID

from faststream.nats import NatsMessage

from services.mcp_gateway.adapters.catalogue import PostgresShelf
from services.mcp_gateway.adapters.configs import Configs
from services.mcp_gateway.adapters.execution_events import ExecutionEvents
from services.mcp_gateway.adapters.exposed import ExposedWorkflows
from services.mcp_gateway.adapters.health_changes import HealthChanges
from services.mcp_gateway.adapters.known_servers import known_servers
from services.mcp_gateway.adapters.launching import BUNDLED_SERVERS, Launcher, read_commands
from services.mcp_gateway.adapters.mcp.arguments import ArgumentValidator
from services.mcp_gateway.adapters.pins import PostgresPins
from services.mcp_gateway.adapters.records import CallRecords
from services.mcp_gateway.adapters.registry import Registry
from services.mcp_gateway.adapters.routing import RoutedUpstreams
from services.mcp_gateway.adapters.running_calls import PostgresRunningCalls
from services.mcp_gateway.adapters.secret_upstreams import SecretUpstreams
from services.mcp_gateway.adapters.upstreams import PooledUpstreams
from services.mcp_gateway.adapters.views import Views
from services.mcp_gateway.adapters.workflow_service import WorkflowService
from services.mcp_gateway.adapters.workflow_tools import WorkflowTools
from services.mcp_gateway.app.calls import ToolCalls
from services.mcp_gateway.app.catalogue import Catalogue
from services.mcp_gateway.app.changes import Change, Changes
from services.mcp_gateway.app.exposing import Exposing
from services.mcp_gateway.app.health import Healths
from services.mcp_gateway.app.health_checks import HealthChecks
from services.mcp_gateway.app.interrupted import Interrupted
from services.mcp_gateway.app.offers import Offers, ToolsOf
from services.mcp_gateway.app.policy import Policies
from services.mcp_gateway.app.ports import KnownTool
from services.mcp_gateway.app.profiles import Profiles
from services.mcp_gateway.app.sightings import Sightings
from services.mcp_gateway.app.trust import Trust
from services.mcp_gateway.config import McpGatewaySettings
from services.mcp_gateway.domain.events import CATALOGUE
from services.mcp_gateway.domain.platform_servers import PLATFORM_SERVERS, WORKFLOWS
from services.mcp_gateway.domain.server import PLATFORM, Server
from services.mcp_gateway.entry.api import Parts, make_api
from services.mcp_gateway.entry.consumer import SUBJECT, ToolTasks
from services.mcp_gateway.entry.mcp.assembly import make_endpoint
from services.mcp_gateway.entry.mcp.endpoint import Paths
from services.mcp_gateway.entry.servers_api import Gateway
from services.mcp_gateway.entry.workflow_facts import ToolNotices, fact_consumers
from services.mcp_gateway.limits import HELD_CONNECTIONS
from services.mcp_gateway.metrics import Metrics
from shared.bus.broker import whole_message
from shared.bus.cloudevents import tenant_of
from shared.db.kept import KeptConnections
from shared.limits import TASKS_HELD_MAX
from shared.net.guard import parse_allowed_hosts
from shared.runtime import Runtime, open_runtime
from shared.scope import TenantScope
from shared.secrets.opening import open_secrets
from shared.secrets.source import SecretSource
from shared.tail.leader import lead

NAME = "mcp_gateway"


async def run(settings: McpGatewaySettings) -> None:
    """Serve until SIGTERM."""
    async with open_runtime(NAME, settings, held=HELD_CONNECTIONS) as rt:
        launcher = Launcher(
            read_commands(settings.mcp_gateway_commands),
            parse_allowed_hosts(settings.allowed_hosts),
            Path(settings.data_dir).resolve() / "tenants",
        )
        metrics = Metrics(rt.registry)
        health_changes = HealthChanges(rt.log, Views(rt.tenants), rt.waker, metrics.observe_health)
        rt.background("mcp health changes", health_changes.run)
        healths = Healths(health_changes.announce)
        changes = Changes()
        pooled = PooledUpstreams(launcher, healths, changes.tell)
        secrets = open_secrets(rt, settings.mcp_gateway_secrets_seed, "AGENTIC_MCP_GATEWAY_SECRETS_SEED")
        async with pooled.pool:
            await _serve(rt, settings, launcher, pooled, secrets, healths, changes, metrics)


async def _serve(
    rt: Runtime,
    settings: McpGatewaySettings,
    launcher: Launcher,
    pooled: PooledUpstreams,
    secrets: SecretSource,
    healths: Healths,
    changes: Changes,
    metrics: Metrics,
) -> None:
    bundled = [*(server.definition() for server in BUNDLED_SERVERS.values()), *PLATFORM_SERVERS]
    registry = Registry(rt.tenants, bundled, rt.waker.wake)
    writing = KeptConnections(rt.worker_pool)
    records = CallRecords(rt.log, writing, rt.waker)
    views = Views(rt.tenants)
    workflow_service = WorkflowService(rt.client)
    exposed = ExposedWorkflows(rt.tenants, rt.worker_pool)
    workflow_tools = WorkflowTools(
        exposed,
        workflow_service,
        ExecutionEvents(rt.client),
        on_changed=lambda tenant_id, _: changes.tell(tenant_id, Change("tools")),
    )
    upstreams = RoutedUpstreams(SecretUpstreams(pooled, secrets), {WORKFLOWS.slug: workflow_tools})
    configs = Configs(rt.tenants, rt.waker.wake)
    policies = Policies(configs)
    trust = Trust(upstreams, PostgresPins(rt.tenants, rt.waker.wake), metrics.observe_pins)
    check = ArgumentValidator().check
    calls = ToolCalls(registry, policies, upstreams, trust, records, check, secrets, metrics)
    sightings = Sightings(upstreams, upstreams, trust, views, policies, healths)
    profiles = Profiles(registry, views, policies)
    offers = Offers(profiles.servers, _tools_of(profiles, trust, upstreams), upstreams)
    changes.listen_to_all(offers.forget)
    metrics.watch(
        records_pending=lambda: records.pending,
        sessions_alive=lambda: sum(state.alive for state in pooled.pool.states()),
        left_alone=lambda: healths.left_alone,
    )

    def forget(tenant_id: UUID) -> None:
        for cache in (registry, configs, trust, profiles):
            cache.forget(tenant_id)
        changes.tell(tenant_id, Change("tools"), Change("prompts"), Change("resources"))

    rt.work_on(SUBJECT, ToolTasks(calls).do, concurrency=TASKS_HELD_MAX)
    rt.background("mcp health checks", HealthChecks(pooled, sightings).run)
    interrupted = Interrupted(PostgresRunningCalls(rt.worker_pool), records)
    rt.background("interrupted calls", partial(lead, rt.worker_pool, "interrupted calls", interrupted.run))
    notices = ToolNotices(rt.client, workflow_tools.changed)
    _expose_workflows(rt, Exposing(exposed, workflow_service, notices.tell))
    _hear_of_changes(rt, forget)
    rt.relay(CATALOGUE.public_types)
    records.start()
    rt.on_close(writing.close)
    rt.on_close(records.close)
    gateway = Gateway(rt.tenants, registry, views, sightings, healths, upstreams, launcher)
    catalogue = Catalogue(PostgresShelf(rt.tenants, rt.waker.wake), known_servers(bundled), launcher)
    parts = Parts(gateway, trust, configs, calls, records, catalogue, profiles)
    endpoint = make_endpoint(
        rt, calls, offers, upstreams, changes, profiles, policies, settings.mcp_gateway_public_hosts
    )

    async def listen() -> None:
        await workflow_service.listen()
        await notices.listen()

    await rt.serve(Paths(endpoint, make_api(rt, parts)), before_consuming=listen)


def _expose_workflows(rt: Runtime, exposing: Exposing) -> None:
    for consumer in fact_consumers(exposing):
        rt.consume(consumer)
    rt.background("exposed workflows", partial(lead, rt.worker_pool, "exposed workflows", exposing.run))


def _tools_of(profiles: Profiles, trust: Trust, upstreams: RoutedUpstreams) -> ToolsOf:
    async def tools(scope: TenantScope, server: Server, profile: str | None) -> Iterable[KnownTool]:
        policy = (await profiles.resolve(scope, profile)).policies.get(server.id)
        if policy is None:
            return []  # it went away in between
        session = upstreams.state(server)
        if server.definition.server_type != PLATFORM and (session is None or not session.alive):
            offered = await trust.offered(scope, server)
        else:
            vetted = (await trust.tools(scope, server)).values()
            offered = [found.tool for found in vetted if not found.quarantined]
        return [tool for tool in offered if policy.decide(tool.name).allowed]

    return tools


def _hear_of_changes(rt: Runtime, forget: Callable[[UUID], None]) -> None:
    """Forget what is cached of a tenant's servers, pins and configs when any replica changed one of them."""

    async def on_change(message: NatsMessage) -> None:
        forget(tenant_of(message.raw_message.subject))

    for aggregate in ("server", "tool", "config"):
        rt.broker.subscriber(f"events.*.{NAME}.{aggregate}.*", decoder=whole_message, no_reply=True)(on_change)
