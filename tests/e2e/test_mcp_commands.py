"""`agentic mcp` as people use it, on a whole platform."""

import json
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.conftest import FAULT_SERVER, Whole
from tests.e2e.test_command_line import agentic

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_servers_are_listed_called_and_removed(command: dict[str, str], tmp_path: Path) -> None:
    said = await agentic(command, "mcp", "call", "calculator", "add", '{"a": 1, "b": 2}')
    assert (said.code, json.loads(said.out), said.err) == (0, {"result": 3}, "")
    divided = await agentic(command, "mcp", "call", "calculator", "divide", '{"a": 1, "b": 0}')
    assert (divided.code, divided.out) == (1, "")
    assert "tool_error" in divided.err
    unknown = await agentic(command, "mcp", "call", "calculator", "none")
    assert unknown.code == 1
    assert "tool_not_found" in unknown.err
    wrong = await agentic(command, "mcp", "call", "calculator", "add", "{")
    assert wrong.code == 2
    name = f"c{uuid4().hex[:8]}"
    file = tmp_path / "mcp.json"
    stdio = {"command": sys.executable, "args": [str(FAULT_SERVER), "sound"]}
    file.write_text(f"// mine\n{json.dumps({'mcpServers': {name: stdio, 'sh': {'command': '/bin/sh'}}})}")
    looked = await agentic(command, "mcp", "import", str(file))
    assert looked.code == 1, "one is refused"
    assert f"{name}: ready" in looked.out
    assert "command_not_allowed" in looked.out
    assert "--apply" in looked.err
    applied = await agentic(command, "mcp", "import", str(file), "--apply", "--json")
    statuses = {server["name"]: server["status"] for server in json.loads(applied.out)["servers"]}
    assert statuses == {name: "registered", "sh": "refused"}
    listed = await agentic(command, "mcp", "servers", "--json")
    slugs = [json.loads(line)["slug"] for line in listed.out.splitlines()]
    assert {"calculator", name} <= set(slugs)
    assert name in (await agentic(command, "mcp", "servers")).out
    removed = await agentic(command, "mcp", "remove", name)
    assert (removed.code, removed.out) == (0, f"{name} is removed.\n")
    again = await agentic(command, "mcp", "remove", name)
    assert again.code == 1
    assert "not_found" in again.err


async def test_the_catalogue_is_searched_and_installed_from(command: dict[str, str]) -> None:
    found = await agentic(command, "mcp", "search", "time", "zone", "--json")
    (entry,) = [json.loads(line) for line in found.out.splitlines()]
    ways = await agentic(command, "mcp", "install", entry["name"], "--ways")
    assert ways.code == 0
    assert "--set local-timezone=" in ways.out
    refused = await agentic(command, "mcp", "install", entry["slug"], "--set", "local-timezone=Europe/Zurich")
    assert refused.code == 1
    assert "command_not_allowed" in refused.err
    assert "uvx mcp-server-time==" in refused.err
    secret = await agentic(command, "mcp", "install", "io.github.upstash/context7", "--remote", "0",
                           "--set", "CONTEXT7_API_KEY=ctx7sk-0123456789abcdef")  # fmt: skip
    assert secret.code == 1
    assert "secret_in_the_clear" in secret.err
    slug = f"c{uuid4().hex[:8]}"
    made = await agentic(command, "mcp", "install", "io.github.upstash/context7", "--remote", "0", "--slug", slug)
    assert made.code == 0, made.err
    assert (await agentic(command, "mcp", "remove", slug)).code == 0
    assert (await agentic(command, "mcp", "install", "x", "--set", "nothing")).code == 2
    assert "not_found" in (await agentic(command, "mcp", "install", "no.such/server")).err


async def test_what_is_exported_is_a_file_for_the_address_of_the_platform(
    whole: Whole, command: dict[str, str], tmp_path: Path
) -> None:
    exported = await agentic(command, "mcp", "export", "--client", "vscode")
    config: dict[str, Any] = json.loads(exported.out)
    assert config["servers"]["agentic"]["url"] == f"{whole.platform.url}/mcp"
    assert ".vscode/mcp.json" in exported.err
    file = tmp_path / "mcp.json"
    file.write_text(exported.out)
    back = await agentic(command, "mcp", "import", str(file))
    assert back.code == 1
    assert "own_endpoint" in back.out
    assert "agentic secrets set agentic_key" in back.out
