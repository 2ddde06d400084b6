"""Workflows as tools, through the gateway's own way in: a real gateway, a real workflow service, a real bus."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from services.workflow.adapters.offered import PostgresOffered
from services.workflow.app.offered import Offered
from shared.db.pool import open_worker_pool
from shared.eventstore.postgres import PostgresEventLog
from tests.conftest import Backbone
from tests.fixtures.gateway_process import Running, gateway
from tests.fixtures.workflow_place import ALL, GREET, MCP, PATIENCE, Place
from tests.fixtures.workflow_process import Service, workflow_service

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(backbone: Backbone) -> AsyncIterator[Running]:
    async with gateway(backbone) as process:
        yield process


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(backbone: Backbone, running: Running) -> AsyncIterator[Service]:
    async with workflow_service(backbone) as process:
        yield process


@pytest_asyncio.fixture(loop_scope="session")
async def place(running: Running, service: Service) -> AsyncIterator[Place]:
    tenant = uuid4()
    async with running.client(tenant, ALL) as tools, service.client(tenant) as workflows:
        yield Place(tenant, tools, workflows)


async def test_a_workflow_is_a_tool_and_its_output_the_result(place: Place) -> None:
    await place.define(GREET)
    tool = (await place.lists("greet"))["greet"]
    assert (tool["title"], tool["description"], tool["annotations"]) == (
        "Greet",
        "Greets somebody.",
        {"readOnlyHint": True},
    )
    assert tool["inputSchema"] == {**GREET["input_schema"], "type": "object"}
    assert {"type": "object", "required": ["text"]} in tool["outputSchema"]["anyOf"]
    called = await place.call("greet", name="Ada")
    assert (called["status"], called["tool_output"]) == ("completed", {"text": "Hello, Ada!"})
    [execution] = await place.executions()
    assert (execution["id"], execution["trigger"]) == (called["execution_id"], "mcp")
    history = (await place.workflows.get(f"/workflows/executions/{execution['id']}/events")).json()["events"]
    assert {event["actor"] for event in history[:1]} == {"user:tester"}, "it runs in the name of who called"
    calls = (await place.tools.get("/executions")).json()["executions"]
    assert [(call["tool_name"], call["tool_input"]) for call in calls] == [("greet", {"name": "Ada"})]


async def test_the_same_call_is_one_execution(place: Place) -> None:
    await place.define({**GREET, "expose_as_tool": True})
    await place.lists("greet")
    first = await place.call("greet", key="once", name="Ada")
    again = await place.call("greet", key="once", name="Ada")
    assert again == first
    await place.call("greet", key="twice", name="Ada")
    assert len(await place.executions()) == 2


async def test_who_may_not_run_workflows_runs_none(place: Place, running: Running) -> None:
    await place.define(GREET)
    await place.lists("greet")
    for scopes, tool, input_ in [
        (MCP, "greet", {"name": "Ada"}),
        (MCP, "workflow_status", {"execution_id": str(uuid4())}),
        (f"{MCP} workflows:read", "workflow_cancel", {"execution_id": str(uuid4())}),
    ]:
        async with running.client(place.tenant, scopes) as client:
            body = {"server_id": "workflows", "tool_name": tool, "tool_input": input_}
            answer = await client.post("/execute", json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert await place.executions() == []


async def test_what_does_not_fit_is_refused_with_its_path(place: Place) -> None:
    await place.define(GREET)
    await place.lists("greet")
    wrong = [
        ({"name": 5}, "name", "the gateway itself knows the schema"),
        ({"name": "Ada", "mail": "nowhere"}, "mail", "the workflow service checks formats, too"),
    ]
    for input_, path, why in wrong:
        answer = await place.try_call("greet", **input_)
        assert (answer.status_code, answer.json()["code"]) == (422, "arguments_invalid"), why
        assert [fault["path"] for fault in answer.json()["errors"]] == [path]
    huge = await place.try_call("greet", name="x" * (1024 * 1024))
    assert (huge.status_code, huge.json()["code"]) == (422, "arguments_invalid")
    assert await place.executions() == []


async def test_a_failed_execution_is_an_error_of_the_tool(place: Place) -> None:
    failing = {"type": "transform", "name": "lacks", "input": "{input.nothing}"}
    await place.define({"name": "Fails", "steps": [failing], "expose_as_tool": True})
    await place.lists("fails")
    called = await place.call("fails")
    assert (called["status"], called["error_code"]) == ("failed", "tool_error")
    assert "input.nothing" in called["error_message"]
    [execution] = await place.executions()
    again = await place.call("workflow_result", execution_id=execution["id"])
    assert again["error_message"] == called["error_message"]


async def test_an_output_that_is_no_object_is_put_in_one(place: Place) -> None:
    listing = {"type": "transform", "name": "all", "input": [1, 2]}
    exposed = {"name": "numbers", "output_schema": {"type": "array"}}
    await place.define({"name": "List them", "steps": [listing], "expose_as_tool": exposed})
    tool = (await place.lists("numbers"))["numbers"]
    assert tool["outputSchema"]["anyOf"][0]["properties"] == {"result": {"type": "array"}}
    assert await place.output("numbers") == {"result": [1, 2]}


APPROVED = {
    "name": "Approved",
    "expose_as_tool": True,
    "steps": [
        {"type": "transform", "name": "first", "input": 1},
        {"type": "approval", "name": "boss", "message": "May this go on?"},
    ],
    "output": {"approved": "{boss.approved}"},
}


async def test_what_a_person_has_to_decide_is_told_at_once_and_the_result_got_later(place: Place) -> None:
    await place.define(APPROVED)
    await place.lists("approved")
    began = time.monotonic()
    handle = await place.output("approved")
    assert time.monotonic() - began < 10, "nobody waits for a person"
    assert (handle["status"], handle["waits_for"][0]["kind"], handle["waits_for"][0]["step"]) == (
        "waiting",
        "approval",
        "boss",
    )
    status = await place.output("workflow_status", execution_id=handle["execution_id"])
    assert (status["status"], status["steps_done"], status["steps_total"]) == ("waiting", 1, 2)
    early = await place.output("workflow_result", execution_id=handle["execution_id"], wait_seconds=0)
    assert early["status"] == "waiting"
    asked = asyncio.create_task(place.output("workflow_result", execution_id=handle["execution_id"]))
    async with asyncio.timeout(PATIENCE):
        while not (approvals := (await place.workflows.get("/approvals")).json()["approvals"]):
            await asyncio.sleep(0.05)
    [approval] = approvals
    decided = await place.workflows.post(f"/approvals/{approval['id']}", json={"approved": True})
    assert decided.is_success, decided.text
    assert await asked == {"approved": True}, "who waits for the result hears of it"


SLOW = {
    "name": "Slow",
    "expose_as_tool": True,
    "steps": [{"type": "delay", "name": "wait", "seconds": 600}, {"type": "transform", "name": "end", "input": {}}],
}


async def test_a_long_one_is_left_running_and_can_be_cancelled(place: Place) -> None:
    await place.define(SLOW)
    await place.lists("slow")
    began = time.monotonic()
    called = await place.call("slow", seconds=1.5)
    assert time.monotonic() - began < 1.5, "the answer comes within the call's time"
    handle = called["tool_output"]
    assert (called["status"], handle["status"]) == ("completed", "waiting")
    assert "waits_for" not in handle
    assert "workflow_result" in handle["how_to_go_on"]
    for _ in range(2):
        cancelled = await place.output("workflow_cancel", execution_id=handle["execution_id"])
        assert cancelled["status"] == "cancelled"
    ended = await place.call("workflow_result", execution_id=handle["execution_id"])
    assert (ended["status"], ended["error_message"]) == ("failed", "The execution was cancelled.")


async def test_two_tenants_have_workflows_of_the_same_name(place: Place, running: Running, service: Service) -> None:
    tenant = uuid4()
    async with running.client(tenant, ALL) as tools, service.client(tenant) as workflows:
        other = Place(tenant, tools, workflows)
        await place.define(GREET)
        await other.define({**GREET, "output": {"text": "Not {input.name}"}})
        await asyncio.gather(place.lists("greet"), other.lists("greet"))
        assert await place.output("greet", name="Ada") == {"text": "Hello, Ada!"}
        assert await other.output("greet", name="Ada") == {"text": "Not Ada"}
        [execution] = await place.executions()
        for tool, more in (("workflow_status", {}), ("workflow_result", {"wait_seconds": 0}), ("workflow_cancel", {})):
            answer = await other.call(tool, execution_id=execution["id"], **more)
            assert answer["status"] == "failed"
            assert "no such execution" in answer["error_message"]


async def test_the_list_follows_the_workflows(place: Place) -> None:
    draft = await place.define(GREET, status="draft")
    active = await place.define({**SLOW, "expose_as_tool": {"name": "by_name"}})
    hidden = await place.define({**SLOW, "name": "Hidden", "expose_as_tool": False})
    await place.lists("by_name")
    await place.workflows.post(f"/workflows/{draft}/activate")
    await place.lists("by_name", "greet")
    await place.workflows.patch(f"/workflows/{hidden}", json={"expose_as_tool": True})
    await place.lists("by_name", "greet", "hidden")
    await place.workflows.post(f"/workflows/{active}/archive")
    await place.lists("greet", "hidden")
    gone = await place.try_call("by_name")
    assert (gone.status_code, gone.json()["code"]) == (404, "tool_not_found")
    await place.workflows.post(f"/workflows/{active}/activate")
    await place.lists("by_name", "greet", "hidden")
    await place.workflows.delete(f"/workflows/{draft}")
    await place.workflows.patch(f"/workflows/{hidden}", json={"expose_as_tool": {"name": "seen"}})
    await place.lists("by_name", "seen")


async def test_no_two_workflows_are_one_tool(place: Place) -> None:
    await place.define({**GREET, "name": "One", "expose_as_tool": {"name": "same"}})
    body = {**GREET, "name": "Two", "expose_as_tool": {"name": "same"}}
    answer = await place.workflows.post("/workflows", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "tool_name_taken")
    two = await place.define({**body, "expose_as_tool": False})
    answer = await place.workflows.patch(f"/workflows/{two}", json={"expose_as_tool": {"name": "same"}})
    assert (answer.status_code, answer.json()["code"]) == (409, "tool_name_taken")


async def test_a_step_runs_no_workflow_as_a_tool(place: Place) -> None:
    await place.define(GREET)
    step = {"type": "mcp_tool", "name": "again", "server_id": "workflows", "tool_name": "outer"}
    outer = {"name": "Outer", "steps": [step], "expose_as_tool": True}
    await place.define(outer)
    await place.lists("greet", "outer")
    called = await place.call("outer")
    assert (called["status"], called["error_code"]) == ("failed", "tool_error")
    [execution] = await place.executions()
    assert execution["error_code"] == "forbidden", "else it would run itself for ever"


async def test_a_tenant_registers_no_server_of_the_platform(place: Place) -> None:
    answer = await place.tools.post("/servers", json={"name": "Mine", "server_type": "platform", "slug": "mine"})
    assert answer.status_code == 400, answer.text
    server = (await place.tools.get("/servers/workflows")).json()
    assert (server["server_type"], server["category"], server["command"], server["url"]) == (
        "platform",
        "bundled",
        None,
        None,
    )
    health = await place.tools.post("/servers/workflows/health")
    assert health.json()["health_status"] == "healthy", health.text
    described = await place.tools.patch("/servers/workflows", json={"description": "Ours"})
    assert described.json()["description"] == "Ours", described.text
    switched = await place.tools.patch("/servers/workflows", json={"status": "disabled"})
    assert switched.status_code == 200
    refused = await place.try_call("workflow_status", execution_id=str(uuid4()))
    assert (refused.status_code, refused.json()["code"]) == (409, "server_disabled")


@pytest.mark.parametrize(
    ("subject", "question", "code"),
    [
        ("execution", b"nonsense", "invalid_input"),
        ("execution", b"{}", "invalid_input"),
        ("execution", {"tenant_id": str(uuid4()), "execution_id": str(uuid4()), "more": 1}, "invalid_input"),
        ("execution", {"tenant_id": str(uuid4()), "execution_id": str(uuid4())}, "execution_not_found"),
        ("execution", {"tenant_id": str(uuid4()), "execution_id": str(uuid4()), "seen": 3}, "execution_not_found"),
        ("offered", b"[]", "invalid_input"),
    ],
)
async def test_a_bad_question_gets_an_answer(
    running: Running, service: Service, subject: str, question: Any, code: str
) -> None:
    assert service.process.returncode is None
    body = question if isinstance(question, bytes) else json.dumps(question).encode()
    answer = await running.bus.request(f"queries.workflow.{subject}", body, timeout=10)
    assert json.loads(answer.data)["error"]["code"] == code


async def test_what_is_offered_comes_in_pages(
    place: Place, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.workflow.adapters.offered.OFFERED_PAGE_BYTES", 1)
    defined = {UUID(await place.define({**GREET, "name": f"Greet {number}"})) for number in range(3)}
    for left_out, status in (({**GREET, "expose_as_tool": False}, "active"), ({**GREET, "name": "No"}, "draft")):
        await place.define(left_out, status=status)
    pool = await open_worker_pool(backbone.working_dsn("workflow"), name="test-offered")
    offered, found, after = PostgresOffered(pool, PostgresEventLog(pool)), dict[UUID, Offered](), UUID(int=0)
    while (page := await offered.page(after)).more:
        [one] = page.workflows
        found[one.workflow_id], after = one, one.workflow_id
    await pool.close()
    ours = {key: one for key, one in found.items() if one.tenant_id == place.tenant}
    assert ours.keys() == defined
    assert all("steps" not in one.definition for one in ours.values())
