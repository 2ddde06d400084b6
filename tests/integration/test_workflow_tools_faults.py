"""Workflows as tools when a process dies, an event is lost, late or forged, or a client goes away."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client

from services.mcp_gateway.adapters.execution_events import ExecutionEvents
from services.mcp_gateway.adapters.exposed import ExposedWorkflows
from services.mcp_gateway.adapters.workflow_service import WorkflowService
from services.mcp_gateway.adapters.workflow_tools import WorkflowTools
from services.mcp_gateway.app.exposing import Exposing, WorkflowFact
from services.mcp_gateway.app.ports import Caller
from services.mcp_gateway.domain.exposed import ExposedWorkflow
from services.mcp_gateway.domain.platform_servers import WORKFLOWS
from services.mcp_gateway.domain.server import Server
from shared.bus.inboxes import inbox_prefix
from shared.db.pool import TenantPool, open_pool, open_worker_pool
from shared.ids import new_id
from shared.scope import TenantScope
from tests.conftest import Backbone
from tests.fixtures.executions import BEGAN
from tests.fixtures.gateway_process import Running, gateway
from tests.fixtures.workflow_place import ALL, GREET, PATIENCE, Place
from tests.fixtures.workflow_process import Service, workflow_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

STEPS = [
    {"type": "transform", "name": "first", "input": 1},
    {"type": "delay", "name": "wait", "seconds": 4},
    {"type": "transform", "name": "last", "input": {"ended": True}},
]
LASTING = {"name": "Lasting", "expose_as_tool": True, "steps": STEPS, "output": {"ended": "{last.ended}"}}


@asynccontextmanager
async def tenant_of(running: Running, service: Service, tenant: UUID | None = None) -> AsyncIterator[Place]:
    tenant = tenant or uuid4()
    async with running.client(tenant, ALL) as tools, service.client(tenant) as workflows:
        yield Place(tenant, tools, workflows)


@pytest_asyncio.fixture(loop_scope="session")
async def admin(backbone: Backbone) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(backbone.admin_dsn)
    yield connection
    await connection.close()


async def test_a_gateway_that_dies_leaves_an_execution_that_the_same_call_finds(backbone: Backbone, admin: Any) -> None:
    tenant = uuid4()
    async with (
        gateway(backbone) as stays,
        workflow_service(backbone) as service,
        gateway(backbone) as dies,
        tenant_of(dies, service, tenant) as place,
        tenant_of(stays, service, tenant) as again,
    ):
        await place.define(LASTING)
        await place.lists("lasting")
        call = asyncio.create_task(place.call("lasting", key="one"))
        async with asyncio.timeout(PATIENCE):
            while not await place.executions():
                await asyncio.sleep(0.02)
        await dies.stop(signal.SIGKILL)
        await asyncio.gather(call, return_exceptions=True)
        assert call.exception() is not None
        # What the key's claim waits for a minute: that its request is not answered any more.
        await admin.execute("UPDATE mcp_gateway.idempotency_keys SET created_at = created_at - interval '1 hour'")
        answer = await again.call("lasting", key="one")
        assert (answer["status"], answer["tool_output"]) == ("completed", {"ended": True})
        [execution] = await again.executions()
        assert execution["id"] == answer["execution_id"]
        [recorded] = (await again.tools.get("/executions")).json()["executions"]
        assert (recorded["id"], recorded["status"]) == (execution["id"], "completed")


async def test_a_workflow_service_that_is_away_runs_it_later(backbone: Backbone) -> None:
    async with gateway(backbone) as running:
        async with workflow_service(backbone) as service, tenant_of(running, service) as place:
            await place.define(GREET)
            await place.lists("greet")
        async with running.client(place.tenant, ALL) as tools:
            left = Place(place.tenant, tools, place.workflows)
            handle = (await left.call("greet", seconds=2, name="Ada"))["tool_output"]
            assert handle["status"] == "pending"
            unknown = await left.try_call("workflow_status", execution_id=handle["execution_id"])
            assert (unknown.status_code, unknown.json()["code"]) == (503, "server_unavailable")
            ending = await left.output("workflow_cancel", execution_id=str(uuid4()))
            assert ending["status"] == "cancelling", "it is told when it can be"
            sick = (await tools.post("/servers/workflows/health")).json()
            assert sick["health_status"] == "unhealthy"
        async with workflow_service(backbone) as service, tenant_of(running, service, place.tenant) as place:
            found = await place.output("workflow_result", execution_id=handle["execution_id"])
            assert found == {"text": "Hello, Ada!"}
            assert len(await place.executions()) == 1


async def test_what_was_not_heard_is_seen_by_comparing(backbone: Backbone, admin: Any) -> None:
    operator = await nats.connect(backbone.nats_url, nkeys_seed_str=backbone.nats_seed())
    async with gateway(backbone) as running, workflow_service(backbone) as service:
        async with tenant_of(running, service) as place:
            archived = await place.define({**GREET, "name": "Archived"})
            deleted = await place.define({**GREET, "name": "Deleted"})
            kept = await place.define({**GREET, "name": "Kept"})
            await place.lists("archived", "deleted", "kept")
            assert await running.stop() == 0
            await place.workflows.post(f"/workflows/{archived}/archive")
            await place.workflows.delete(f"/workflows/{deleted}")
            await place.define({**GREET, "name": "Added"})
            subject = f"events.{place.tenant}.workflow.workflow.deleted"
            async with asyncio.timeout(PATIENCE):
                while await stored(operator, subject) == 0:
                    await asyncio.sleep(0.05)
        await operator.jetstream().purge_stream("EVENTS", subject=f"events.{place.tenant}.>")
        await admin.execute(
            "UPDATE mcp_gateway.exposed_workflows SET tool = '{\"nonsense\": 1}' WHERE workflow_id = $1", UUID(kept)
        )
        async with gateway(backbone) as anew, tenant_of(anew, service, place.tenant) as place:
            await place.lists("added", "kept")
            assert await place.output("kept", name="Ada") == {"text": "Hello, Ada!"}
    await operator.close()


async def stored(client: Client, subject: str) -> int:
    info = await client.jetstream().stream_info("EVENTS", subjects_filter=subject)
    return sum((info.state.subjects or {}).values())


async def test_a_fact_that_cannot_be_read_is_kept_for_people(backbone: Backbone) -> None:
    async with gateway(backbone) as running:
        letters = await running.bus.jetstream().subscribe("deadletter.mcp_gateway")
        tenant = uuid4()
        about = {"ce-subject": str(uuid4()), "ce-streamversion": "1", "ce-position": "1"}
        for headers, data in [
            ({**about, "ce-subject": "nonsense"}, b"{}"),
            (about, b'{"slug": 7}'),
            (about, b'{"slug": "a", "definition": {"name": "A", "expose_as_tool": {"name": 5}}}'),
            ({}, b'{"slug": "a", "definition": {"name": "A"}}'),
        ]:
            subject = f"events.{tenant}.workflow.workflow.defined"
            await running.bus.jetstream().publish(subject, data, headers=headers or None)
            async with asyncio.timeout(PATIENCE):
                while (letter := await letters.next_msg(timeout=10)).data != data:
                    pass
            assert "no event of a workflow" in (letter.headers or {})["agentic-reason"]


@asynccontextmanager
async def model(backbone: Backbone) -> AsyncIterator[ExposedWorkflows]:
    tenants = TenantPool(await open_pool(backbone.serving_dsn("mcp_gateway"), name="test"))
    workers = await open_worker_pool(backbone.working_dsn("mcp_gateway"), name="test-worker")
    try:
        yield ExposedWorkflows(tenants, workers)
    finally:
        await workers.close()
        await tenants.close()


def exposing(store: ExposedWorkflows) -> tuple[Exposing, list[UUID]]:
    told: list[UUID] = []

    async def changed(tenant_id: UUID) -> None:
        told.append(tenant_id)

    return Exposing(store, WorkflowService(lambda: pytest.fail("nobody is asked")), changed), told


async def test_facts_in_any_order_and_twice_say_the_same(backbone: Backbone) -> None:
    async with model(backbone) as store:
        for facts in (facts_of("active"), facts_of("archived"), facts_of("deleted")):
            for order in permutations(facts):
                tenant, workflow = uuid4(), uuid4()
                hears, told = exposing(store)
                for fact in (*order, *reversed(order)):
                    await hears.hear(fact_for(fact, tenant, workflow))
                found = [tool.name for tool in await store.listed(TenantScope(tenant, "tester"))]
                assert found == (["second"] if facts[-1]["status"] == "active" else []), order
                assert set(told) <= {tenant}


def facts_of(last: str) -> list[dict[str, Any]]:
    return [
        {"version": 1, "defines": True, "tool": "first", "status": "draft"},
        {"version": 2, "status": "active"},
        {"version": 3, "defines": True, "tool": "second"},
        {"version": 4, "status": last},
    ]


def fact_for(fact: dict[str, Any], tenant: UUID, workflow: UUID) -> WorkflowFact:
    tool = ExposedWorkflow(workflow, fact["tool"], "A workflow") if "tool" in fact else None
    return WorkflowFact(**{**fact, "tool": tool}, tenant_id=tenant, workflow_id=workflow, position=fact["version"])


async def test_a_change_is_told_once_and_only_if_it_is_one(backbone: Backbone) -> None:
    tenant, workflow = uuid4(), uuid4()
    async with model(backbone) as store:
        hears, told = exposing(store)
        heard = []
        for fact in [*facts_of("archived"), {"version": 5, "defines": True}]:
            for _ in range(2):
                await hears.hear(fact_for(fact, tenant, workflow))
            heard.append(len(told))
        assert heard == [0, 1, 2, 3, 3]


async def test_comparing_mends_and_writes_only_what_is_wrong(backbone: Backbone, admin: Any) -> None:
    tenant, workflow = uuid4(), uuid4()
    everything = "SELECT tool, status, xmin::text FROM mcp_gateway.exposed_workflows WHERE workflow_id = $1"
    async with model(backbone) as store:
        hears, _ = exposing(store)
        for fact in facts_of("active"):
            await hears.hear(fact_for(fact, tenant, workflow))
        truth = fact_for({"version": 4, "defines": True, "tool": "second", "status": "active"}, tenant, workflow)
        await store.take(truth, surely=True)
        right = await admin.fetchrow(everything, workflow)
        assert not await store.take(truth, surely=True)
        assert await admin.fetchrow(everything, workflow) == right, "what is right is not written again"
        for wrong in ("tool = NULL", "status = 'archived'", "tool = 'nonsense'"):
            await admin.execute(f"UPDATE mcp_gateway.exposed_workflows SET {wrong} WHERE workflow_id = $1", workflow)
            assert not await store.take(truth), "an event that came before changes nothing"
            assert await store.take(truth, surely=True)
            assert (await admin.fetchrow(everything, workflow))[:2] == right[:2]


async def test_a_workflow_of_another_tenant_is_another_one(backbone: Backbone) -> None:
    mine, theirs, workflow = uuid4(), uuid4(), uuid4()
    async with model(backbone) as store:
        hears, _ = exposing(store)
        for fact in facts_of("active"):
            await hears.hear(fact_for(fact, mine, workflow))
        forged = WorkflowFact(tenant_id=theirs, workflow_id=workflow, version=9, position=9, status="deleted")
        await hears.hear(forged)
        assert len(await store.listed(TenantScope(mine, "tester"))) == 1
        assert await store.listed(TenantScope(theirs, "tester")) == []


class Heard:
    """The client of a call, who is told of its progress."""

    def __init__(self) -> None:
        self.progressed: list[tuple[float, float | None]] = []

    def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        assert message == f"{progress} of {total} steps done"
        self.progressed.append((progress, total))


async def test_progress_is_told_and_who_goes_away_cancels_nothing(backbone: Backbone) -> None:
    client = await nats.connect(
        backbone.nats_url,
        nkeys_seed_str=backbone.nats_seed("mcp_gateway"),
        inbox_prefix=inbox_prefix("mcp_gateway").encode(),
    )
    workflows = WorkflowService(lambda: client)
    await workflows.listen()
    events = ExecutionEvents(lambda: client)
    async with (
        gateway(backbone) as running,
        workflow_service(backbone) as service,
        tenant_of(running, service) as place,
        model(backbone) as store,
    ):
        await place.define(LASTING)
        await place.lists("lasting")
        tools = WorkflowTools(store, workflows, events)
        server = Server(place.tenant, uuid4(), WORKFLOWS, "active", 1, 1, BEGAN, BEGAN)
        relay, calls = Heard(), [Caller("user:ada", new_id()) for _ in range(2)]
        gone = asyncio.create_task(tools.call(server, "lasting", {}, 20, None, calls[0]))
        async with asyncio.timeout(PATIENCE):
            while not await place.executions():
                await asyncio.sleep(0.02)
        assert not gone.done()
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert gone.cancelled()
        answer = await tools.call(server, "lasting", {}, 20, relay, calls[1])
        assert (answer.structured, json.loads(answer.content[0]["text"])) == ({"ended": True}, {"ended": True})
        assert relay.progressed == sorted(set(relay.progressed))
        assert (relay.progressed[0][0] < 3, relay.progressed[-1]) == (True, (3, 3))
        result = {"execution_id": str(calls[0].call_id)}
        left = await tools.call(server, "workflow_result", result, 20, None, Caller("user:ada", new_id()))
        assert left.structured == {"ended": True}, "its execution went on"
        assert events._tenants == {}, "nothing is listened to any more"
    await client.close()
