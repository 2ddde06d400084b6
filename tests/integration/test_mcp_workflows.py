"""Workflows at the MCP endpoint, through the official SDK's client in both eras."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from mcp import Client
from mcp.shared.exceptions import MCPError

from tests.conftest import Backbone
from tests.fixtures.gateway_process import Running, gateway
from tests.fixtures.mcp_clients import ERAS, connected
from tests.fixtures.workflow_place import ALL, GREET, PATIENCE, Place
from tests.fixtures.workflow_process import Service, workflow_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

LASTING = {
    "name": "Lasting",
    "expose_as_tool": {"output_schema": {"type": "object", "required": ["ended"]}},
    "steps": [
        {"type": "transform", "name": "first", "input": 1},
        {"type": "delay", "name": "wait", "seconds": 2},
        {"type": "approval", "name": "boss", "title": "May this go on?", "when": "$.input.ask == true"},
        {"type": "transform", "name": "last", "input": {"ended": True}},
    ],
}


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


async def has(client: Client, name: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        while name not in (tools := {tool.name: tool for tool in (await client.list_tools()).tools}):
            await asyncio.sleep(0.1)
    return tools


@pytest.mark.parametrize("era", ERAS)
async def test_a_workflow_is_a_tool_among_others(running: Running, place: Place, era: str) -> None:
    await place.define(GREET)
    async with connected(running, place.tenant, scopes=ALL, mode=era) as client:
        tools = await has(client, "workflows__greet")
        assert {"calculator__add", "workflows__workflow_result"} <= tools.keys()
        assert tools["workflows__greet"].description == "Greets somebody."
        done = await client.call_tool("workflows__greet", {"name": "Ada"})
        assert (done.is_error, done.structured_content) == (False, {"text": "Hello, Ada!"})
        wrong = await client.call_tool("workflows__greet", {"name": "Ada", "mail": "nowhere"})
        assert wrong.is_error
        assert "mail" in wrong.content[0].text


@pytest.mark.parametrize("era", ERAS)
async def test_progress_is_heard_and_a_handle_fits_the_output_schema(running: Running, place: Place, era: str) -> None:
    told: list[tuple[float, float | None]] = []

    async def progress(done: float, total: float | None, _: str | None) -> None:
        told.append((done, total))

    await place.define(LASTING)
    async with connected(running, place.tenant, scopes=ALL, mode=era) as client:
        await has(client, "workflows__lasting")
        done = await client.call_tool("workflows__lasting", {}, progress_callback=progress)
        assert done.structured_content == {"ended": True}
        assert told == sorted(set(told))
        assert {total for _, total in told} == {4.0}
        assert len(told) > 1
        waiting = await client.call_tool("workflows__lasting", {"ask": True})
        handle = waiting.structured_content
        assert (waiting.is_error, handle["status"], handle["waits_for"][0]["step"]) == (False, "waiting", "boss")
        execution = {"execution_id": handle["execution_id"]}
        ended = await client.call_tool("workflows__workflow_cancel", execution)
        assert ended.structured_content["status"] == "cancelled"
        failed = await client.call_tool("workflows__workflow_result", execution)
        assert (failed.is_error, failed.content[0].text) == (True, "The execution was cancelled.")


async def test_who_may_not_run_workflows_is_told_so(running: Running, place: Place) -> None:
    await place.define(GREET)
    async with connected(running, place.tenant) as client:
        await has(client, "workflows__greet")
        refused = await client.call_tool("workflows__greet", {"name": "Ada"})
        assert refused.is_error
        assert "workflows:execute" in refused.content[0].text
    assert await place.executions() == []


async def test_a_client_that_listens_hears_of_workflows(running: Running, place: Place) -> None:
    async with connected(running, place.tenant, scopes=ALL, mode="2026-07-28") as client:
        await client.list_tools()
        async with client.listen(tools_list_changed=True) as changes:
            workflow = await place.define(GREET)
            async with asyncio.timeout(PATIENCE):
                await anext(aiter(changes))
            assert "workflows__greet" in (await has(client, "workflows__greet"))
            await place.workflows.post(f"/workflows/{workflow}/archive")
            async with asyncio.timeout(PATIENCE):
                await anext(aiter(changes))
            assert "workflows__greet" not in {tool.name for tool in (await client.list_tools()).tools}
        with pytest.raises(MCPError, match="Unknown tool"):
            await client.call_tool("workflows__greet", {"name": "Ada"})
