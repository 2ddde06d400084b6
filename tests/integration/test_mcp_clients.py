"""The MCP endpoint through clients of others: both generations of the TypeScript SDK, and the Inspector's CLI."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from tests.conftest import Backbone
from tests.fixtures.gateway_process import Running, gateway, token
from tests.fixtures.mcp_clients import COMMANDS, everything_by_http, register_everything
from tests.fixtures.node import WANTED, Node, Unavailable, node

pytestmark = pytest.mark.asyncio(loop_scope="session")

INSPECTOR = "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
SECONDS = 60


@pytest.fixture(scope="module")
def tools() -> Node:
    try:
        return node()
    except Unavailable as reason:
        pytest.skip(str(reason))


class Endpoint:
    """A gateway with the server with everything behind it, and what a client needs to know."""

    def __init__(self, running: Running, tenant: UUID) -> None:
        self.url = f"{running.url}/mcp/everything"
        self.token = token(tenant)


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["http", "stdio"])
async def endpoint(backbone: Backbone, request: pytest.FixtureRequest) -> AsyncIterator[Endpoint]:
    tenant = uuid4()
    if request.param == "stdio":
        async with gateway(backbone, commands=COMMANDS) as running:
            await register_everything(running, tenant)
            yield Endpoint(running, tenant)
        return
    async with everything_by_http() as port, gateway(backbone, allowed_hosts=f"127.0.0.1:{port}") as running:
        await register_everything(running, tenant, port)
        yield Endpoint(running, tenant)


async def said_by(tools: Node, *command: str) -> Any:
    """Run a program and return what it printed, as JSON."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=tools.environment(os.environ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    return json.loads(output)


@pytest.mark.parametrize(("library", "mode"), [("sdk", "legacy"), ("client", "legacy"), ("client", "auto")])
async def test_the_typescript_sdk(endpoint: Endpoint, tools: Node, library: str, mode: str) -> None:
    script = str(WANTED / "typescript_sdk.cjs")
    address = (str(tools.packages), library, mode, endpoint.url, endpoint.token)
    said = await said_by(tools, str(tools.binary), script, *address)
    assert {"tools", "prompts", "resources", "completions"} <= {*said["capabilities"]}
    assert {"test_simple_text", "json_schema_2020_12_tool"} <= {*said["tools"]}
    assert said["simple"] == "This is a simple text response for testing."
    assert said["failing"] is True
    assert said["progress"] == [0, 50, 100]
    assert said["elicited"] == "Hello, Ann!"
    assert said["sampled"] == "The model said: a model's words"
    assert said["routed"] == "region=ü b"
    assert said["asked"] == ["elicitation/create", "sampling/createMessage"]
    assert said["resource"] == "This is the content of the static text resource."
    assert '"id": "7"' in said["templated"]
    assert "test_simple_prompt" in said["prompts"]
    assert said["prompt"] == "Prompt with arguments: arg1='x', arg2='y'"
    assert said["completed"] == ["paris", "park", "party"]
    assert said["unknown"] in {True, -32602}
    assert said["changed"] is True


async def test_the_inspectors_command_line(endpoint: Endpoint, tools: Node) -> None:
    async def ask(*what: str) -> Any:
        reach = (endpoint.url, "--transport", "http", "--header", f"Authorization: Bearer {endpoint.token}")
        return await said_by(tools, *tools.command(INSPECTOR, "--cli", *reach, *what))

    listed = await ask("--method", "tools/list")
    assert "test_simple_text" in {tool["name"] for tool in listed["tools"]}
    called = await ask("--method", "tools/call", "--tool-name", "test_x_mcp_header", "--tool-arg", "region=here")
    assert called["content"] == [{"type": "text", "text": "region=here"}]
    read = await ask("--method", "resources/read", "--uri", "test://static-text")
    assert read["contents"][0]["text"] == "This is the content of the static text resource."
    got = await ask("--method", "prompts/get", "--prompt-name", "test_simple_prompt")
    assert got["messages"][0]["content"]["text"] == "This is a simple prompt for testing."
