"""HTTP sessions with a real server of the official SDK, and the pool over real processes."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal
from uuid import uuid4

import psutil
import pytest

from services.mcp_gateway.adapters.mcp.launch import CommandAllowList, HttpLaunch, StdioLaunch, bundled
from services.mcp_gateway.adapters.mcp.model import Opening
from services.mcp_gateway.adapters.mcp.opener import TransportOpener
from services.mcp_gateway.adapters.mcp.place import PoolBounds, SessionKey
from services.mcp_gateway.adapters.mcp.pool import SessionPool
from services.mcp_gateway.adapters.mcp.streamable_http import HttpSession
from services.mcp_gateway.app.relay import Era
from services.mcp_gateway.errors import ServerDied, ServerUnavailable, ToolTimeout

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ROOT / "tests" / "fixtures" / "mcp_servers"
CALCULATOR = bundled("calculator", env={"PYTHONPATH": str(ROOT)})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(params=["json", "sse"])
async def sdk_server(request: pytest.FixtureRequest) -> AsyncIterator[HttpLaunch]:
    kind: Literal["json", "sse"] = request.param
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SERVERS / "sdk_server.py"), "http", str(port), kind),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                await writer.wait_closed()
                break
    yield HttpLaunch(f"http://127.0.0.1:{port}/mcp")
    process.kill()
    await process.wait()


@pytest.mark.parametrize(("era", "revision"), [(None, "2026-07-28"), ("handshake", "2025-11-25")])
async def test_a_server_of_the_official_sdk(sdk_server: HttpLaunch, era: Era | None, revision: str) -> None:
    session = await HttpSession.connect(sdk_server, opening=Opening(era))
    assert session.protocol_version == revision
    assert session.server_info.name == "sdk-server"
    # Before the list of tools is known: the server then refuses the call for its missing header, and we learn it.
    routed = await session.call_tool("routed", {"region": "eu ü"}, timeout=10)
    assert routed.structured == {"region": "eu ü"}
    assert "routed" in [tool.name for tool in await session.list_tools()]
    assert (await session.call_tool("add", {"a": 1, "b": 2}, timeout=10)).structured == {"result": 3.0}
    assert (await session.call_tool("fail", {}, timeout=10)).is_error
    with pytest.raises(ToolTimeout):
        await session.call_tool("slow", {"seconds": 60}, timeout=0.3)
    results = await asyncio.gather(
        *(session.call_tool("add", {"a": number, "b": 1}, timeout=30) for number in range(100))
    )
    assert [result.structured for result in results] == [{"result": number + 1.0} for number in range(100)]
    await session.ping(5)
    await session.close()


@pytest.mark.parametrize("sdk_server", ["sse"], indirect=True)
@pytest.mark.parametrize("era", ["modern", "handshake"])
async def test_an_answer_comes_through_the_event_stream(sdk_server: HttpLaunch, era: Era) -> None:
    session = await HttpSession.connect(sdk_server, opening=Opening(era))
    result = await session.call_tool("count", {"upto": 3}, timeout=10)
    assert result.structured == {"result": 3}
    await session.close()


@pytest.mark.parametrize("sdk_server", ["sse"], indirect=True)
async def test_answered_streams_give_their_connection_back(sdk_server: HttpLaunch) -> None:
    session = await HttpSession.connect(sdk_server, opening=Opening("handshake"))
    for _ in range(10):
        await session.call_tool("add", {"a": 1, "b": 2}, timeout=10)
    port = int(sdk_server.url.split(":")[2].split("/")[0])
    connections = [c for c in psutil.Process().net_connections() if c.raddr and c.raddr.port == port]
    assert len(connections) <= 2
    await session.close()


async def test_nobody_listens() -> None:
    with pytest.raises(ServerUnavailable, match="cannot be reached"):
        await HttpSession.connect(HttpLaunch(f"http://127.0.0.1:{free_port()}/mcp"))


async def test_the_pool_over_real_processes() -> None:
    opener = TransportOpener(CommandAllowList([sys.executable]))
    key = SessionKey(uuid4(), uuid4(), 1)
    async with SessionPool(opener, PoolBounds(restart_delay_s=0.05)) as pool:
        sessions = await asyncio.gather(*(pool.session(key, CALCULATOR) for _ in range(100)))
        results = await asyncio.gather(
            *(session.call_tool("add", {"a": n, "b": 1}, timeout=20) for n, session in enumerate(sessions))
        )
        assert [result.structured for result in results] == [{"result": n + 1} for n in range(100)]
        (state,) = pool.states()
        assert (state.alive, state.starts, state.failures) == (True, 1, 0)
        (warden,) = [child for child in psutil.Process().children() if "warden.py" in " ".join(child.cmdline())]
        for server in warden.children():
            server.kill()
        async with asyncio.timeout(10):
            while sessions[0].alive:
                await asyncio.sleep(0.01)
        assert (await sessions[0].call_tool("add", {"a": 1, "b": 1}, timeout=20)).structured == {"result": 2}
        assert pool.states()[0].starts == 2
    assert [child for child in psutil.Process().children() if "warden.py" in " ".join(child.cmdline())] == []


async def test_a_call_that_the_server_died_under_is_not_sent_again(tmp_path: Path) -> None:
    log = tmp_path / "calls"
    script = tmp_path / "server.py"
    script.write_text(
        f"""
import json, os, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") == "initialize":
        result = {{"protocolVersion": "2025-06-18", "serverInfo": {{"name": "x", "version": "1"}}}}
        print(json.dumps({{"jsonrpc": "2.0", "id": message["id"], "result": result}}), flush=True)
    elif message.get("method") == "tools/call":
        with open({str(log)!r}, "a") as log:
            log.write("call\\n")
        os._exit(1)
"""
    )
    opener = TransportOpener(CommandAllowList([sys.executable]))
    async with SessionPool(opener) as pool:
        session = await pool.session(SessionKey(uuid4(), uuid4(), 1), StdioLaunch(sys.executable, (str(script),)))
        with pytest.raises(ServerDied):
            await session.call_tool("pay", {"amount": 1}, timeout=10)
    assert log.read_text() == "call\n"
