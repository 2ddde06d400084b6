"""Importing the files of MCP clients, and exporting one for each, over HTTP."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import mcp
import pytest
import pytest_asyncio
from mcp.client.streamable_http import streamable_http_client

from tests.conftest import Backbone
from tests.fixtures.gateway_process import SERVERS, Running, gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCRIPT = str(SERVERS / "acting_server.py")
ACTING = {"command": sys.executable, "args": [SCRIPT]}
NO_STORE = "There is no store of secrets"

BUNDLED = 4  # servers that every tenant has


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(backbone: Backbone) -> AsyncIterator[Running]:
    async with gateway(backbone, commands=f"{sys.executable} {SCRIPT}") as process:
        yield process


@pytest_asyncio.fixture(loop_scope="session")
async def client(running: Running) -> AsyncIterator[httpx2.AsyncClient]:
    async with running.client(uuid4()) as connection:
        yield connection


def code(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.text
    return answer.status_code, answer.json()["code"]


async def look(client: httpx2.AsyncClient, config: Any, **more: Any) -> dict[str, Any]:
    answer = await client.post("/import", json={"config": config, **more})
    assert answer.status_code == 200, answer.text
    return {server["name"]: server for server in answer.json()["servers"]}


async def test_a_file_is_looked_at_and_then_applied(client: httpx2.AsyncClient) -> None:
    text = f"""
    {{ // Claude Desktop
      "mcpServers": {{
        "My Server": {{ "command": {json.dumps(sys.executable)}, "args": [{json.dumps(SCRIPT)},],
                        "autoApprove": ["x"] }},
        "elsewhere": {{ "url": "https://tools.example.org/mcp", /* no key */ "headers": {{"X-Team": "red"}} }},
        "shell": {{ "command": "/bin/sh", "args": ["-c", "id"], "cwd": "/", "env": {{"LD_PRELOAD": "x"}} }},
        "calculator": {{ "url": "https://calculator.example.org/mcp" }},
        "unreadable": {{ "args": [1] }},
      }},
    }}
    """
    seen = await look(client, text)
    assert {name: server["status"] for name, server in seen.items()} == {
        "My Server": "ready",
        "elsewhere": "ready",
        "shell": "refused",
        "calculator": "refused",
        "unreadable": "refused",
    }
    assert seen["My Server"]["server"]["slug"] == "my-server"
    assert seen["My Server"]["notes"] == ["autoApprove is left out: it has no meaning here."]
    assert [(fault["path"], fault["code"]) for fault in seen["shell"]["faults"]] == [
        ("cwd", "unsupported"),
        ("command", "command_not_allowed"),
    ]
    assert [fault["code"] for fault in seen["calculator"]["faults"]] == ["slug_taken"]
    assert (await client.get("/servers")).json()["total"] == BUNDLED, "looking registers nothing"

    applied = await look(client, text, apply=True)
    assert applied["My Server"]["status"] == applied["elsewhere"]["status"] == "registered"
    assert applied["shell"]["status"] == "refused"
    assert (await client.get("/servers")).json()["total"] == BUNDLED + 2
    call = {"server_id": "my-server", "tool_name": "wait", "tool_input": {"seconds": 0}}
    assert (await client.post("/execute", json=call)).json()["status"] == "completed"
    again = await look(client, text, apply=True)
    assert again["My Server"]["status"] == "there"
    assert again["My Server"]["server_id"] == applied["My Server"]["server_id"]
    assert (await client.get("/servers")).json()["total"] == BUNDLED + 2


async def test_applying_twice_or_at_once_registers_once(client: httpx2.AsyncClient) -> None:
    body = {"config": {"mcpServers": {"one": ACTING, "two": ACTING}}, "apply": True}
    key = {"Idempotency-Key": str(uuid4())}
    first = await client.post("/import", json=body, headers=key)
    again = await client.post("/import", json=body, headers=key)
    assert first.json() == again.json()
    assert [server["status"] for server in first.json()["servers"]] == ["registered", "registered"]
    body["config"] = {"mcpServers": {"three": ACTING}}
    answers = await asyncio.gather(*(client.post("/import", json=body) for _ in range(6)))
    statuses = [server["status"] for answer in answers for server in answer.json()["servers"]]
    assert statuses.count("registered") == 1
    assert set(statuses) <= {"registered", "there", "refused"}
    assert (await client.get("/servers")).json()["total"] == BUNDLED + 3


async def test_credentials_become_names_of_secrets_and_are_never_kept(client: httpx2.AsyncClient) -> None:
    config = {
        "mcpServers": {
            "github": {
                "command": sys.executable,
                "args": [SCRIPT, "--api-key", "hunter2hunter2", "postgres://ada:lovelace@db/x"],
                "env": {
                    "GITHUB_TOKEN": "ghp_0123456789abcdefABCDEF",
                    "LEVEL": "info",
                    "ID": "0123456789abcdef01234567",
                },
            },
            "elsewhere": {
                "url": "https://x.example.org/mcp?key=hunter3",
                "headers": {"Authorization": "Bearer hunter4"},
            },
        }
    }
    answer = await client.post("/import", json={"config": config, "apply": True})
    for value in ("hunter", "lovelace", "ghp_", "0123456789abcdef01234567"):
        assert value not in answer.text
    github, elsewhere = answer.json()["servers"]
    assert github["server"]["args"][1:] == ["--api-key", "{secret.api_key}", "{secret.ARG_3}"]
    assert github["server"]["env_vars"] == {
        "GITHUB_TOKEN": "{secret.GITHUB_TOKEN}",
        "LEVEL": "info",
        "ID": "{secret.ID}",
    }
    assert elsewhere["server"]["url"] == "https://x.example.org/mcp?key={secret.key}"
    assert elsewhere["server"]["config"]["headers"] == {"Authorization": "Bearer {secret.elsewhere_Authorization}"}
    assert [secret["name"] for secret in github["secrets"]] == ["ARG_3", "GITHUB_TOKEN", "ID", "api_key"]
    # Whether they may be named is for the check of a definition to say, and it alone.
    for server in (github, elsewhere):
        assert [fault for fault in server["faults"] if NO_STORE not in fault["message"]] == []


async def test_vs_code_asks_and_is_answered(client: httpx2.AsyncClient) -> None:
    config = {
        "inputs": [
            {"type": "promptString", "id": "team", "description": "Your team"},
            {"type": "pickString", "id": "region", "options": ["eu", "us"], "default": "eu"},
        ],
        "servers": {
            "x": {
                "type": "http",
                "url": "https://${input:region}.example.org/mcp",
                "headers": {"X-Team": "${input:team}"},
            },
            "y": {"type": "stdio", **ACTING, "env": {"F": "${workspaceFolder}/x", "G": "${input:none}"}},
        },
    }
    seen = await look(client, {"mcp": config})
    assert [(fault["path"], fault["code"]) for fault in seen["x"]["faults"]] == [("inputs.team", "value_required")]
    assert {fault["code"] for fault in seen["y"]["faults"]} >= {"placeholder_unknown"}
    answered = await look(client, config, inputs={"team": "red", "region": "us"})
    assert answered["x"]["status"] == "ready"
    assert answered["x"]["server"]["url"] == "https://us.example.org/mcp"
    assert answered["x"]["server"]["config"]["headers"] == {"X-Team": "red"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (400, "invalid_input")),
        ({"config": "{"}, (400, "invalid_input")),
        ({"config": "[" * 100_000}, (400, "invalid_input")),
        ({"config": "[]"}, (400, "invalid_input")),
        ({"config": {}}, (400, "invalid_input")),
        ({"config": {"mcpServers": []}}, (400, "invalid_input")),
        ({"config": {"mcpServers": {}, "servers": {}}}, (400, "invalid_input")),
        ({"config": '{"mcpServers": {"a": {}, "a": {}}}'}, (400, "invalid_input")),
        ({"config": {"servers": {}, "inputs": [{"id": 1}]}}, (400, "invalid_input")),
        ({"config": {"mcpServers": {}}, "aply": True}, (400, "invalid_input")),
        ({"config": {"mcpServers": {f"s{number}": ACTING for number in range(101)}}}, (413, "too_large")),
        ({"config": {"mcpServers": {"x" * 201: ACTING}}}, (413, "too_large")),
        ({"config": {"mcpServers": {}, "x": "y" * 1_100_000}}, (413, "too_large")),
    ],
)
async def test_what_is_no_clients_file_is_refused(
    client: httpx2.AsyncClient, body: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert code(await client.post("/import", json=body)) == expected


async def test_odd_servers_of_a_file_are_refused_one_by_one(client: httpx2.AsyncClient) -> None:
    config = {
        "mcpServers": {
            "日本": ACTING,
            "a b": ACTING,
            "a-b": ACTING,
            "nul": {"command": "a\0b"},
            "off": {**ACTING, "disabled": True},
            "both": {**ACTING, "url": "https://example.org/mcp"},
            "none": {},
            "userinfo": {"url": "https://ada:lovelace@example.org/mcp"},
            "path": {"url": "https://example.org/s/0a1b2c3d4e5f60718293a4b5/mcp"},
            "odd": {"type": "carrier-pigeon", "url": "https://example.org/mcp"},
            "no list": [],
        }
    }
    answer = await client.post("/import", json={"config": config, "apply": True})
    assert "lovelace" not in answer.text
    assert "0a1b2c3d4e5f60718293a4b5" not in answer.text
    seen = {server["name"]: server for server in answer.json()["servers"]}
    assert {name for name, server in seen.items() if server["status"] != "refused"} == {"a b"}
    assert all(server["faults"] for name, server in seen.items() if name != "a b")
    assert [fault["code"] for fault in seen["a-b"]["faults"]] == ["slug_taken"]


@pytest.mark.parametrize("chosen", ["claude-desktop", "vscode", "cursor"])
async def test_what_is_exported_can_be_imported_elsewhere_and_not_into_itself(
    running: Running, client: httpx2.AsyncClient, chosen: str
) -> None:
    exported = (await client.get("/export", params={"client": chosen, "profile": "calculator"})).json()
    assert exported["url"] == f"{running.url}/mcp/calculator"
    assert "Bearer" in json.dumps(exported["config"])
    itself = await look(client, exported["config"])
    assert "own_endpoint" in {fault["code"] for fault in itself["agentic-calculator"]["faults"]}
    # The same file at another platform: one whose users reach it by another name.
    text = json.dumps(exported["config"])
    answer = await client.post("/import", json={"config": text}, headers={"Host": "elsewhere.example.org"})
    (server,) = answer.json()["servers"]
    assert server["slug"] == "agentic-calculator"
    assert (server["server"]["server_type"], server["server"]["url"]) == ("streamable_http", exported["url"])
    (secret,) = server["secrets"]
    assert server["server"]["config"]["headers"] == {"Authorization": f"Bearer {{secret.{secret['name']}}}"}
    assert [fault for fault in server["faults"] if NO_STORE not in fault["message"]] == []


async def test_what_is_exported_leads_to_the_tools(client: httpx2.AsyncClient) -> None:
    exported = await client.get("/export", params={"client": "cursor", "profile": "calculator"})
    (entry,) = exported.json()["config"]["mcpServers"].values()
    key = client.headers["authorization"].removeprefix("Bearer ")
    headers = {name: value.replace("${env:AGENTIC_TOKEN}", key) for name, value in entry["headers"].items()}
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False) as connection,
        mcp.Client(streamable_http_client(entry["url"], http_client=connection)) as reached,
    ):
        tools = (await reached.list_tools()).tools
        assert len(tools) == 5
        assert any(tool.name.endswith("add") for tool in tools)


async def test_the_address_is_the_one_that_was_asked(client: httpx2.AsyncClient) -> None:
    async def url(**headers: str) -> str:
        answer = await client.get("/export", params={"client": "cursor"}, headers=headers)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["url"])

    assert await url(Host="platform.example.org") == "http://platform.example.org/mcp"
    behind = {"Host": "platform.example.org", "X-Forwarded-Host": "evil.example.org", "X-Forwarded-Proto": "https"}
    assert await url(**behind) == "https://platform.example.org/mcp"
    assert await url(Host="[::1]:8000") == "http://[::1]:8000/mcp"
    for host in ("a/b", "a@b", 'a"b', "a b"):
        answer = await client.get("/export", params={"client": "cursor"}, headers={"Host": host})
        assert answer.status_code == 400
    unknown = await client.get("/export", params={"client": "cursor", "profile": "nobodys"})
    assert code(unknown) == (404, "not_found")
    for wrong in ({"client": "emacs"}, {}, {"client": "cursor", "profile": "../x"}):
        assert code(await client.get("/export", params=wrong)) == (400, "invalid_input")


async def test_scopes_are_asked_for(running: Running) -> None:
    async with running.client(uuid4(), "mcp:read") as reader:
        assert code(await reader.post("/import", json={"config": {"mcpServers": {}}})) == (403, "forbidden")
        assert (await reader.get("/export", params={"client": "vscode"})).status_code == 200
    async with running.client(uuid4(), "mcp:execute") as caller:
        assert code(await caller.get("/export", params={"client": "vscode"})) == (403, "forbidden")
