"""The bundled servers by streamable HTTP, used by the official client in both eras, and how they begin and end."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from services.mcp_gateway.adapters.mcp.launch import HttpLaunch
from services.mcp_gateway.adapters.mcp.model import Opening
from services.mcp_gateway.adapters.mcp.streamable_http import HttpSession
from services.mcp_gateway.app.relay import Era
from tests.fixtures.mcp_servers.by_http import ROOT, served

Mode = Literal["legacy", "auto"]
MODES = pytest.mark.parametrize(("mode", "revision"), [("legacy", "2025-11-25"), ("auto", "2026-07-28")])
BUNDLED = "services.mcp_gateway.servers."
CALCULATOR = ("-m", f"{BUNDLED}calculator")
ACTING = (str(ROOT / "tests/fixtures/mcp_servers/acting_server.py"),)
TOKEN = "a-token-of-a-length-that-nobody-guesses"
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def modern_call(name: str, **arguments: object) -> tuple[dict[str, str], bytes]:
    headers = {
        "content-type": "application/json",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": name,
    }
    params = {"name": name, "arguments": arguments, "_meta": ENVELOPE}
    return headers, json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()


@MODES
async def test_the_calculator(mode: Mode, revision: str) -> None:
    async with served(*CALCULATOR) as server, Client(server.url, mode=mode) as sdk:
        assert sdk.protocol_version == revision
        assert [tool.name for tool in (await sdk.list_tools()).tools] == [
            "add",
            "subtract",
            "multiply",
            "divide",
            "power",
        ]
        answer = await sdk.call_tool("power", {"base": 2, "exponent": 100})
        assert answer.structured_content == {"result": 2**100, "decimal": str(2**100)}
        refused = await sdk.call_tool("divide", {"a": 1, "b": 0})
        assert refused.is_error


@MODES
async def test_the_filesystem_server(tmp_path: Path, mode: Mode, revision: str) -> None:
    async with (
        served("-m", f"{BUNDLED}filesystem", "--root", str(tmp_path)) as server,
        Client(server.url, mode=mode) as sdk,
    ):
        assert sdk.protocol_version == revision
        assert len((await sdk.list_tools()).tools) == 7
        await sdk.call_tool("write_file", {"path": "a.txt", "content": "hello ü"})
        read = await sdk.call_tool("read_file", {"path": "a.txt"})
        assert [block.text for block in read.content] == ["hello ü"]
    assert (tmp_path / "a.txt").read_text() == "hello ü"


@MODES
async def test_the_database_server(tmp_path: Path, mode: Mode, revision: str) -> None:
    file = tmp_path / "shop.sqlite3"
    async with (
        served("-m", f"{BUNDLED}database", "--create", "--url", f"sqlite://{file}") as server,
        Client(server.url, mode=mode) as sdk,
    ):
        assert sdk.protocol_version == revision
        assert len((await sdk.list_tools()).tools) == 4
        found = await sdk.call_tool("query", {"sql": "select 6 * 7 as answer"})
        assert found.structured_content is not None
        assert found.structured_content["rows"] == [[42]]


@pytest.mark.parametrize("era", ["handshake", "modern"])
async def test_our_own_sessions_reach_it(era: Era) -> None:
    async with served(*CALCULATOR) as server:
        session = await HttpSession.connect(HttpLaunch(server.url), opening=Opening(era=era))
        assert session.era == era
        results = await asyncio.gather(
            *(session.call_tool("add", {"a": number, "b": 1}, timeout=20) for number in range(200))
        )
        assert [result.structured for result in results] == [{"result": number + 1} for number in range(200)]
        await session.close()


async def test_many_clients_and_a_thousand_sessions_do_not_make_it_grow() -> None:
    initialize = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    }
    async with served(*CALCULATOR) as server, httpx2.AsyncClient() as http:
        first = await http.post(server.url, json=initialize)
        for _ in range(1_000):
            opened = await http.post(server.url, json=initialize)
            assert opened.status_code == 200
        ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
        for response, status in ((first, 404), (opened, 200)):
            headers = {"mcp-session-id": response.headers["mcp-session-id"]}
            assert (await http.post(server.url, json=ping, headers=headers)).status_code == status


async def test_a_call_that_runs_is_answered_before_the_end(tmp_path: Path) -> None:
    async with served(*ACTING) as server, httpx2.AsyncClient() as http:
        headers, body = modern_call("append", path=str(tmp_path / "log"), text="begun", seconds=1.0)
        call = asyncio.create_task(http.post(server.url, headers=headers, content=body))
        await _until_there(tmp_path / "log")
        server.process.terminate()
        assert (await call).json()["result"]["structuredContent"] == {"result": "begun"}
        assert await asyncio.wait_for(server.process.wait(), 10) == 0


async def test_who_is_told_twice_to_end_does_not_wait(tmp_path: Path) -> None:
    async with served(*ACTING) as server, httpx2.AsyncClient() as http:
        headers, body = modern_call("append", path=str(tmp_path / "log"), text="begun", seconds=600)
        call = asyncio.create_task(http.post(server.url, headers=headers, content=body, timeout=60))
        await _until_there(tmp_path / "log")
        server.process.terminate()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(server.process.wait()), 0.5)
        server.process.terminate()
        assert await asyncio.wait_for(server.process.wait(), 5) == 0
        assert (await call).status_code == 500


async def _until_there(path: Path) -> None:
    async with asyncio.timeout(20):
        while not path.exists():
            await asyncio.sleep(0.01)


async def test_a_modern_client_that_leaves_cancels_its_call(tmp_path: Path) -> None:
    async with served(*ACTING) as server, httpx2.AsyncClient() as http:
        headers, body = modern_call("append", path=str(tmp_path / "log"), text="begun", seconds=600)
        with pytest.raises(httpx2.ReadTimeout):
            await http.post(server.url, headers=headers, content=body, timeout=1.0)
        assert (tmp_path / "log").read_text() == "begun\n"
        server.process.terminate()  # nothing runs that it would wait for
        assert await asyncio.wait_for(server.process.wait(), 5) == 0


async def test_the_token_is_wanted() -> None:
    async with served(*CALCULATOR, "--allow-remote", address="0.0.0.0:0", MCP_SERVER_TOKEN=TOKEN) as server:
        url = f"http://127.0.0.1:{server.port}/mcp"
        headers, body = modern_call("add", a=1, b=2)
        async with httpx2.AsyncClient() as http:
            for authorization in ({}, {"authorization": "Bearer x"}, {"authorization": f"Basic {TOKEN}"}):
                refused = await http.post(url, headers={**headers, **authorization}, content=body)
                assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        async with (
            httpx2.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}) as http,
            Client(streamable_http_client(url, http_client=http)) as sdk,
        ):
            assert (await sdk.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}


@pytest.mark.parametrize(
    ("arguments", "token", "status", "said"),
    [
        (["--help"], None, 0, "MCP_SERVER_TOKEN"),
        (["--help"], None, 0, "add, subtract, multiply, divide, power"),
        (["--http", "0.0.0.0:0"], None, 1, "--allow-remote"),
        (["--http", "0.0.0.0:0"], TOKEN, 1, "--allow-remote"),
        (["--http", "[::]:0"], None, 1, "--allow-remote"),
        (["--http", "0.0.0.0:0", "--allow-remote"], None, 1, "needs a token"),
        (["--http", "0.0.0.0:0", "--allow-remote"], "short", 1, "32 characters"),
        (["--http", "127.0.0.1:0"], "", 1, "32 characters"),
        (["--http", "192.0.2.1:0", "--allow-remote"], TOKEN, 1, "cannot be served"),
        (["--http", "8900"], None, 2, "no HOST:PORT"),
        (["--http", "127.0.0.1:"], None, 2, "no HOST:PORT"),
        (["--http", "127.0.0.1:65536"], None, 2, "no HOST:PORT"),
        (["--http", "tools.example:80"], None, 2, "no IP address"),
        (["--no-such"], None, 2, "unrecognized"),
    ],
)
def test_command_lines(arguments: list[str], token: str | None, status: int, said: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MCP_SERVER_TOKEN"}
    if token is not None:
        environment["MCP_SERVER_TOKEN"] = token
    done = subprocess.run(
        [sys.executable, *CALCULATOR, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=20,
        check=False,
        env=environment,
    )
    assert done.returncode == status
    assert said in done.stdout + done.stderr
