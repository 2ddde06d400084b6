"""The MCP endpoint through the official SDK's client, in both eras, with servers of both transports behind it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError

from tests.conftest import Backbone
from tests.fixtures.gateway_process import SERVERS, Running, gateway
from tests.fixtures.mcp_clients import COMMANDS, ERAS, connected, everything_by_http, register_everything


@asynccontextmanager
async def with_everything(backbone: Backbone, transport: str) -> AsyncIterator[tuple[Running, UUID]]:
    tenant = uuid4()
    if transport == "stdio":
        async with gateway(backbone, commands=COMMANDS) as running:
            await register_everything(running, tenant)
            yield running, tenant
        return
    async with everything_by_http() as port, gateway(backbone, allowed_hosts=f"127.0.0.1:{port}") as running:
        await register_everything(running, tenant, port)
        yield running, tenant


ACTING = SERVERS / "acting_server.py"


def text(result: Any) -> str:
    return "".join(part.text for part in result.content if part.type == "text")


@pytest.mark.parametrize("era", ERAS)
async def test_tools_of_all_servers_are_listed_and_called(backbone: Backbone, era: str) -> None:
    tenant = uuid4()
    async with gateway(backbone) as running:
        async with connected(running, tenant, mode=era) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert {"calculator__add", "filesystem__read_file", "database__query"} <= tools.keys()
            assert tools["calculator__add"].annotations.read_only_hint
            result = await client.call_tool("calculator__add", {"a": 2, "b": 3})
            assert result.structured_content == {"result": 5}
            wrong = await client.call_tool("calculator__add", {"a": "two"})
            assert wrong.is_error
            with pytest.raises(MCPError, match="Unknown tool"):
                await client.call_tool("calculator__nothing", {})
        async with connected(running, tenant, "/mcp/calculator", mode=era) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert names == {"add", "subtract", "multiply", "divide", "power"}
        async with running.client(tenant) as client:
            calls = (await client.get("/executions")).json()["executions"]
            assert [(call["tool_name"], call["status"]) for call in calls] == [("add", "failed"), ("add", "completed")]


@pytest.mark.parametrize("transport", ["stdio", "http"])
@pytest.mark.parametrize("era", ERAS)
async def test_a_call_talks_to_its_client_while_it_runs(backbone: Backbone, era: str, transport: str) -> None:
    """Progress, questions to the person, questions to the client's model: whatever eras meet."""
    asked: list[Any] = []
    told: list[tuple[float, float | None]] = []

    async def elicit(_: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult(action="accept", content={"username": "ann", "name": "ann"})

    async def sample(_: Any, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
        asked.append(params.max_tokens)
        said = types.TextContent(type="text", text="a model's words")
        return types.CreateMessageResult(role="assistant", content=said, model="m")

    async def progress(done: float, total: float | None, _: str | None) -> None:
        told.append((done, total))

    options = {"mode": era, "elicitation_callback": elicit, "sampling_callback": sample}
    async with with_everything(backbone, transport) as (running, tenant):
        async with connected(running, tenant, "/mcp/everything", **options) as client:
            await client.call_tool("test_tool_with_progress", {}, progress_callback=progress)
            assert told == [(0, 100), (50, 100), (100, 100)]
            if transport == "stdio" or era == "legacy":
                result = await client.call_tool("test_elicitation", {"message": "Who are you?"})
                assert "'username': 'ann'" in text(result)
                result = await client.call_tool("test_sampling", {"prompt": "Say something"})
                assert "a model's words" in text(result)
                assert asked == ["Who are you?", 100]
            else:
                result = await client.call_tool("test_input_required_result_elicitation", {})
                assert "Hello, ann!" in text(result)
        async with running.client(tenant) as client:
            calls = (await client.get("/executions")).json()["executions"]
            assert {call["status"] for call in calls} == {"completed"}


@pytest.mark.parametrize("transport", ["stdio", "http"])
@pytest.mark.parametrize("era", ERAS)
async def test_resources_prompts_and_completion_are_passed_on(backbone: Backbone, era: str, transport: str) -> None:
    async with (
        with_everything(backbone, transport) as (running, tenant),
        connected(running, tenant, mode=era) as client,
    ):
        listed = {str(resource.uri) for resource in (await client.list_resources()).resources}
        assert {"test://static-text", "test://static-binary"} <= listed
        assert (await client.list_resource_templates()).resource_templates[
            0
        ].uri_template == "test://template/{id}/data"
        assert (await client.read_resource("test://static-text")).contents[0].text
        assert "7" in (await client.read_resource("test://template/7/data")).contents[0].text
        with pytest.raises(MCPError):
            await client.read_resource("test://nothing/of/the/kind")
        prompts = {prompt.name for prompt in (await client.list_prompts()).prompts}
        assert "everything__test_simple_prompt" in prompts
        prompt = await client.get_prompt("everything__test_prompt_with_arguments", {"arg1": "x", "arg2": "y"})
        assert "x" in prompt.messages[0].content.text
        reference = types.PromptReference(type="ref/prompt", name="everything__test_prompt_with_arguments")
        async with running.client(tenant) as rest:
            discovered = (await rest.get("/servers/everything/discover")).json()["servers"][0]
            assert "test://static-text" in discovered["available_resources"]
            assert "test_simple_prompt" in discovered["available_prompts"]
            shown = (await rest.get("/servers/everything")).json()
            assert (shown["resources"], shown["prompts"]) == (
                discovered["available_resources"],
                discovered["available_prompts"],
            )
        assert (await client.complete(reference, {"name": "arg1", "value": "p"})).completion.values


@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_a_client_that_listens_hears_of_changed_lists(backbone: Backbone, transport: str) -> None:
    async with (
        with_everything(backbone, transport) as (running, tenant),
        connected(running, tenant, "/mcp/everything", mode="2026-07-28") as client,
    ):

        async def names() -> set[str]:
            return {tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools}

        before = await names()
        async with client.listen(tools_list_changed=True) as changes:
            await client.call_tool("test_trigger_tool_change", {})
            async with asyncio.timeout(10):
                async for _ in changes:
                    break
        assert await names() == before, "nobody approved the new tool"
        async with client.listen(tools_list_changed=True) as changes, running.client(tenant) as rest:
            answer = await rest.post("/servers/everything/approve", json={"all": True})
            assert [tool["name"] for tool in answer.json()["tools"]] == ["test_dynamic_tool"]
            async with asyncio.timeout(10):
                async for _ in changes:
                    if await names() - before == {"test_dynamic_tool"}:
                        break
        async with client.listen(tools_list_changed=True) as changes, running.client(tenant) as rest:
            answer = await rest.patch("/servers/everything", json={"status": "disabled"})
            assert answer.status_code == 200, answer.text
            async with asyncio.timeout(10):
                async for _ in changes:
                    break


async def test_a_handshake_client_hears_of_changed_lists(backbone: Backbone) -> None:
    heard = asyncio.Event()

    async def hear(message: Any) -> None:
        if getattr(message, "method", getattr(getattr(message, "root", None), "method", "")) == (
            "notifications/tools/list_changed"
        ):
            heard.set()

    async with (
        with_everything(backbone, "stdio") as (running, tenant),
        connected(running, tenant, "/mcp/everything", mode="legacy", message_handler=hear) as client,
    ):
        await client.call_tool("test_trigger_tool_change", {})
        async with asyncio.timeout(10):
            await heard.wait()
        assert heard.is_set()


async def test_a_cancelled_call_is_cancelled_at_the_server_and_recorded(backbone: Backbone, tmp_path: Path) -> None:
    tenant = uuid4()
    async with gateway(backbone, commands=f"{sys.executable} {ACTING}") as running:
        async with running.client(tenant) as rest:
            server = {"name": "Acting", "server_type": "stdio", "command": sys.executable, "args": [str(ACTING)]}
            assert (await rest.post("/servers", json=server)).status_code == 201
        for era in ERAS:
            async with connected(running, tenant, "/mcp/acting", mode=era) as client:
                calling = asyncio.create_task(
                    client.call_tool("append", {"path": str(tmp_path / "f"), "text": "x", "seconds": 60})
                )
                async with running.client(tenant) as rest:
                    while not (await rest.get("/executions?status=running")).json()["executions"]:
                        await asyncio.sleep(0.05)
                    calling.cancel()
                    while (await rest.get("/executions?status=running")).json()["executions"]:
                        await asyncio.sleep(0.05)
                    (last, *_) = (await rest.get("/executions")).json()["executions"]
                    assert (last["status"], last["error_code"]) == ("failed", "tool_cancelled")
