"""Workflows as the tools of a server that every tenant has, beside the tools that look at their executions.

An execution has the id of the call that started it. So the same call is never a second execution, and a gateway that
dies leaves nothing behind that a repetition of the call does not find.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import msgspec

from services.mcp_gateway.adapters.execution_events import ExecutionEvents
from services.mcp_gateway.adapters.mcp.model import ToolDefinition
from services.mcp_gateway.adapters.watching import Watch
from services.mcp_gateway.adapters.workflow_service import WorkflowService
from services.mcp_gateway.app.exposing import ExposedStore
from services.mcp_gateway.app.ports import Caller, KnownTool, ToolAnswer
from services.mcp_gateway.app.relay import Relay
from services.mcp_gateway.domain.execution_tools import CANCEL, EXECUTION_TOOLS, STATUS
from services.mcp_gateway.domain.executions import (
    Said,
    Standing,
    refused,
    said_of_cancelling,
    said_of_result,
    said_of_status,
)
from services.mcp_gateway.domain.exposed import ExposedWorkflow, arguments_schema, result_schema
from services.mcp_gateway.domain.platform_servers import WORKFLOWS
from services.mcp_gateway.domain.server import Server, bundled_id
from services.mcp_gateway.errors import ResultTooLarge, ServerUnavailable, ToolError, ToolNotFound
from services.mcp_gateway.limits import (
    EXPOSED_CACHE_SECONDS,
    EXPOSED_TENANTS_CACHED,
    RESULT_MAX_BYTES,
    WORKFLOW_ANSWER_SECONDS,
    WORKFLOW_BEGIN_SECONDS,
    WORKFLOW_WAIT_SECONDS,
)
from shared.auth.scopes import WORKFLOWS_EXECUTE, WORKFLOWS_READ
from shared.errors import NotFound
from shared.scope import TenantScope

_ACTOR = "service:mcp_gateway"


class _Offer(msgspec.Struct, frozen=True):
    """A tenant's tools, and the workflows behind them by name."""

    until: float
    tools: dict[str, KnownTool]
    workflows: Mapping[str, UUID]


class WorkflowTools:
    """`Upstreams` of the server `workflows`. A call waits for its execution for at most `max_wait` seconds.

    `on_changed` is told of each change of a tenant's tools, with the tenant and its server: it must not block or raise.
    """

    def __init__(
        self,
        exposed: ExposedStore,
        service: WorkflowService,
        events: ExecutionEvents,
        max_wait: float = WORKFLOW_WAIT_SECONDS,
        on_changed: Callable[[UUID, UUID], None] = lambda _, __: None,
    ) -> None:
        self._exposed = exposed
        self._service = service
        self._events = events
        self._max_wait = max_wait
        self._on_changed = on_changed
        self._offers: OrderedDict[UUID, _Offer] = OrderedDict()

    async def tools(self, server: Server) -> dict[str, KnownTool]:
        """Return the tenant's tools: seconds old at most, and at once new after a change that was heard of."""
        return (await self._offer(server.tenant_id)).tools

    async def call(
        self,
        server: Server,
        tool: str,
        arguments: dict[str, Any],
        seconds: float,
        relay: Relay | None = None,
        caller: Caller | None = None,
    ) -> ToolAnswer:
        """Run a workflow, or look at an execution. The end of this call is not the end of the execution."""
        if caller is None:
            raise ToolError("A workflow is run for somebody, under the id of a call.")
        began = time.perf_counter()
        tenant_id, left = server.tenant_id, max(0.0, seconds - min(WORKFLOW_ANSWER_SECONDS, seconds / 4))
        if tool in EXECUTION_TOOLS:
            said = await self._look(tenant_id, tool, arguments, left, relay, caller)
        else:
            workflow_id = (await self._offer(tenant_id)).workflows.get(tool)
            if workflow_id is None:
                raise ToolNotFound(f"There is no workflow {tool!r} any more.")
            said = await self._run(tenant_id, workflow_id, arguments, left, relay, caller)
        if len(said.text) > RESULT_MAX_BYTES:
            raise ResultTooLarge(
                f"The output has {len(said.text)} characters; at most {RESULT_MAX_BYTES} are returned."
            )
        content = [{"type": "text", "text": said.text}]
        raw = msgspec.json.encode({"content": content, "structuredContent": said.structured, "isError": said.is_error})
        duration_ms = (time.perf_counter() - began) * 1000.0
        return ToolAnswer(content, said.structured, said.is_error, duration_ms, msgspec.Raw(raw))

    async def probe(self, _: Server, __: float) -> bool:
        """There is no session that could live."""
        return False

    async def ping(self, _: Server, seconds: float) -> None:
        """Ask the workflow service for a sign of life."""
        await self._service.ping(seconds)

    def changed(self, tenant_id: UUID) -> None:
        """Read the tenant's tools anew: one of its workflows changed."""
        self._offers.pop(tenant_id, None)
        self._on_changed(tenant_id, bundled_id(tenant_id, WORKFLOWS.slug))

    async def _run(
        self,
        tenant_id: UUID,
        workflow_id: UUID,
        arguments: dict[str, Any],
        seconds: float,
        relay: Relay | None,
        caller: Caller,
    ) -> Said:
        until = _now() + min(seconds, self._max_wait)
        execution_id = caller.call_id
        async with self._events.follow(tenant_id, execution_id) as happened:
            await self._service.start(
                tenant_id, execution_id, workflow_id, arguments, caller.actor, max(0.0, until - _now())
            )
            watch = Watch(self._service, tenant_id, execution_id, happened, relay)
            standing = await watch.until(until, stop_at_waits=True)
        return said_of_result(execution_id, standing)

    async def _look(
        self,
        tenant_id: UUID,
        tool: str,
        arguments: dict[str, Any],
        seconds: float,
        relay: Relay | None,
        caller: Caller,
    ) -> Said:
        try:
            execution_id = UUID(arguments["execution_id"])
            if tool == STATUS:
                return said_of_status(await self._standing(tenant_id, execution_id))
            if tool == CANCEL:
                return await self._cancel(tenant_id, execution_id, seconds, caller)
            until = _now() + min(seconds, float(arguments.get("wait_seconds", self._max_wait)))
            async with self._events.follow(tenant_id, execution_id) as happened:
                watch = Watch(self._service, tenant_id, execution_id, happened, relay)
                await watch.begin(min(until, _now() + WORKFLOW_BEGIN_SECONDS))
                return said_of_result(execution_id, await watch.until(until, stop_at_waits=False))
        except (NotFound, ValueError):
            return refused("execution_not_found", "There is no such execution, or it has not begun yet.")

    async def _cancel(self, tenant_id: UUID, execution_id: UUID, seconds: float, caller: Caller) -> Said:
        try:
            answered = await self._service.cancel(tenant_id, execution_id, caller.actor, seconds)
        except ToolError as error:
            if error.details.get("refused") != "execution_ended":
                raise
        else:
            if not answered:
                return said_of_cancelling(execution_id)
        return said_of_status(await self._standing(tenant_id, execution_id))

    async def _standing(self, tenant_id: UUID, execution_id: UUID) -> Standing:
        standing = await self._service.standing(tenant_id, execution_id)
        if standing is None:
            raise ServerUnavailable("The workflow service did not say where the execution stands.")
        return standing

    async def _offer(self, tenant_id: UUID) -> _Offer:
        offer = self._offers.get(tenant_id)
        if offer is None or offer.until < _now():
            found = await self._exposed.listed(TenantScope(tenant_id, _ACTOR))
            offer = self._offers[tenant_id] = _offered(found)
            self._offers.move_to_end(tenant_id)
            if len(self._offers) > EXPOSED_TENANTS_CACHED:
                self._offers.popitem(last=False)
        return offer


def _offered(found: list[ExposedWorkflow]) -> _Offer:
    tools = {name: _execution_tool(name) for name in EXECUTION_TOOLS}
    workflows: dict[str, UUID] = {}
    for exposed in found:
        if exposed.name not in EXECUTION_TOOLS:
            tools[exposed.name] = _workflow_tool(exposed)
            workflows[exposed.name] = exposed.workflow_id
    return _Offer(_now() + EXPOSED_CACHE_SECONDS, tools, workflows)


def _execution_tool(name: str) -> KnownTool:
    known = KnownTool.of({"name": name, **EXECUTION_TOOLS[name]})
    return msgspec.structs.replace(known, needs=WORKFLOWS_EXECUTE if name == CANCEL else WORKFLOWS_READ)


def _workflow_tool(exposed: ExposedWorkflow) -> KnownTool:
    definition = ToolDefinition(
        exposed.name,
        arguments_schema(exposed),
        exposed.title,
        exposed.description,
        result_schema(exposed),
        {"readOnlyHint": exposed.read_only},
    )
    known = KnownTool.of(msgspec.to_builtins(definition))
    return msgspec.structs.replace(known, needs=WORKFLOWS_EXECUTE, resumes=True)


def _now() -> float:
    return time.monotonic()
