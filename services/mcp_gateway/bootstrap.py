"""Wires the MCP gateway."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from uuid import UUID

from faststream.nats import NatsMessage

from services.mcp_gateway.adapters.execution_events import ExecutionEvents
from services.mcp_gateway.adapters.exposed import ExposedWorkflows
from services.mcp_gateway.adapters.launching import BUNDLED_SERVERS, Launcher, read_commands
from services.mcp_gateway.adapters.mcp.arguments import ArgumentValidator
from services.mcp_gateway.adapters.records import CallRecords
from services.mcp_gateway.adapters.registry import Registry
from services.mcp_gateway.adapters.routing import RoutedUpstreams
from services.mcp_gateway.adapters.upstreams import PooledUpstreams
from services.mcp_gateway.adapters.views import Views
from services.mcp_gateway.adapters.workflow_service import WorkflowService
from services.mcp_gateway.adapters.workflow_tools import WorkflowTools
from services.mcp_gateway.app.calls import ToolCalls
from services.mcp_gateway.app.changes import Change, Changes
from services.mcp_gateway.app.exposing import Exposing
from services.mcp_gateway.app.offers import Offers, ToolsOf
from services.mcp_gateway.app.ports import KnownTool
from services.mcp_gateway.app.profiles import Profiles
from services.mcp_gateway.app.sightings import Sightings
from services.mcp_gateway.config import McpGatewaySettings
from services.mcp_gateway.domain.events import CATALOGUE
from services.mcp_gateway.domain.platform_servers import PLATFORM_SERVERS, WORKFLOWS
from services.mcp_gateway.domain.server import Server
from services.mcp_gateway.entry.api import make_api
from services.mcp_gateway.entry.consumer import SUBJECT, ToolTasks
from services.mcp_gateway.entry.mcp.assembly import make_endpoint
from services.mcp_gateway.entry.mcp.endpoint import Paths
from services.mcp_gateway.entry.servers_api import Gateway
from services.mcp_gateway.entry.workflow_facts import ToolNotices, fact_consumers
from services.mcp_gateway.metrics import Metrics
from shared.bus.broker import whole_message
from shared.bus.cloudevents import tenant_of
from shared.limits import TASKS_HELD_MAX
from shared.net.guard import parse_allowed_hosts
from shared.runtime import Runtime, open_runtime
from shared.scope import TenantScope
from shared.tail.leader import lead

NAME = "mcp_gateway"


async def run(settings: McpGatewaySettings) -> None:
    """Serve until SIGTERM."""
    async with open_runtime(NAME, settings) as rt:
        launcher = Launcher(
            read_commands(settings.mcp_gateway_commands),
            parse_allowed_hosts(settings.allowed_hosts),
            Path(settings.data_dir).resolve() / "tenants",
        )
        changes = Changes()
        upstreams = PooledUpstreams(launcher, changes.tell)
        async with upstreams.pool:
            await _serve(rt, settings, launcher, upstreams, changes)


async def _serve(
    rt: Runtime, settings: McpGatewaySettings, launcher: Launcher, pooled: PooledUpstreams, changes: Changes
) -> None:
    metrics = Metrics(rt.registry)
    bundled = [*(server.definition() for server in BUNDLED_SERVERS.values()), *PLATFORM_SERVERS]
    registry = Registry(rt.tenants, bundled, rt.waker.wake)
    records = CallRecords(rt.log, rt.worker_pool, rt.waker)
    views = Views(rt.tenants)
    workflow_service = WorkflowService(rt.client)
    exposed = ExposedWorkflows(rt.tenants, rt.worker_pool)
    workflow_tools = WorkflowTools(
        exposed,
        workflow_service,
        ExecutionEvents(rt.client),
        on_changed=lambda tenant_id, _: changes.tell(tenant_id, Change("tools")),
    )
    upstreams = RoutedUpstreams(pooled, {WORKFLOWS.slug: workflow_tools})
    calls = ToolCalls(registry, upstreams, records, ArgumentValidator().check, metrics.observe_call)
    metrics.watch(
        records_pending=lambda: records.pending,
        sessions_alive=lambda: sum(state.alive for state in pooled.pool.states()),
    )

    rt.work_on(SUBJECT, ToolTasks(calls).do, concurrency=TASKS_HELD_MAX)
    notices = ToolNotices(rt.client, workflow_tools.changed)
    _expose_workflows(rt, Exposing(exposed, workflow_service, notices.tell))
    profiles = Profiles(registry, views)
    offers = Offers(profiles.servers, _tools_of(upstreams), upstreams)
    changes.listen_to_all(offers.forget)

    def registry_changed(tenant_id: UUID) -> None:
        registry.forget(tenant_id)
        profiles.forget(tenant_id)
        changes.tell(tenant_id, Change("tools"), Change("prompts"), Change("resources"))

    _hear_of_changes(rt, registry_changed)
    rt.relay(CATALOGUE.public_types)
    records.start()
    rt.on_close(records.close)
    gateway = Gateway(rt.tenants, registry, views, Sightings(upstreams, views), upstreams, launcher)
    endpoint = make_endpoint(rt, calls, offers, upstreams, changes, profiles.known, settings.mcp_gateway_public_hosts)

    async def listen() -> None:
        await workflow_service.listen()
        await notices.listen()

    await rt.serve(Paths(endpoint, make_api(rt, gateway, calls, records)), before_consuming=listen)


def _expose_workflows(rt: Runtime, exposing: Exposing) -> None:
    for consumer in fact_consumers(exposing):
        rt.consume(consumer)
    rt.background("exposed workflows", partial(lead, rt.worker_pool, "exposed workflows", exposing.run))


def _tools_of(upstreams: RoutedUpstreams) -> ToolsOf:
    async def tools(_: TenantScope, server: Server, __: str | None) -> Iterable[KnownTool]:
        return (await upstreams.tools(server)).values()

    return tools


def _hear_of_changes(rt: Runtime, changed: Callable[[UUID], None]) -> None:
    """Forget what is cached of a tenant's servers when any replica changed one of them."""

    async def on_change(message: NatsMessage) -> None:
        changed(tenant_of(message.raw_message.subject))

    rt.broker.subscriber(f"events.*.{NAME}.server.*", decoder=whole_message, no_reply=True)(on_change)
