"""Sessions by HTTP with SSE: with a server of the official SDK, and with servers that misbehave."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from services.mcp_gateway.adapters.mcp import legacy_sse
from services.mcp_gateway.adapters.mcp.launch import CommandAllowList, SseLaunch
from services.mcp_gateway.adapters.mcp.legacy_sse import LegacySseSession
from services.mcp_gateway.adapters.mcp.model import Opening
from services.mcp_gateway.adapters.mcp.opener import TransportOpener
from services.mcp_gateway.adapters.mcp.place import PoolBounds, SessionKey
from services.mcp_gateway.adapters.mcp.pool import SessionPool
from services.mcp_gateway.errors import (
    ProtocolViolation,
    ResultTooLarge,
    ServerDied,
    ServerUnavailable,
    ToolError,
    ToolTimeout,
)
from shared.net.guard import AddressRefused, guarded_client
from tests.fixtures.mcp_servers.sse_server import Message, SseServer, sse_server

SERVERS = Path(__file__).resolve().parents[1] / "fixtures" / "mcp_servers"


@asynccontextmanager
async def session_with(server: SseServer, **headers: str) -> AsyncIterator[LegacySseSession]:
    session = await LegacySseSession.connect(SseLaunch(server.url, headers))
    try:
        yield session
    finally:
        await session.close()


@pytest.fixture
async def server() -> AsyncIterator[SseServer]:
    async with sse_server() as served:
        yield served


async def test_a_server_of_the_official_sdk(unused_tcp_port: int) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SERVERS / "sdk_server.py"), "legacy", str(unused_tcp_port)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(30):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port)
                except ConnectionRefusedError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    await writer.wait_closed()
                    break
        session = await LegacySseSession.connect(SseLaunch(f"http://127.0.0.1:{unused_tcp_port}/sse"))
        assert (session.era, session.server_info.name) == ("handshake", "sdk-server")
        assert "add" in [tool.name for tool in await session.list_tools()]
        assert (await session.call_tool("add", {"a": 1, "b": 2}, timeout=10)).structured == {"result": 3.0}
        assert (await session.call_tool("fail", {}, timeout=10)).is_error
        with pytest.raises(ToolTimeout):
            await session.call_tool("slow", {"seconds": 60}, timeout=0.3)
        results = await asyncio.gather(
            *(session.call_tool("add", {"a": number, "b": 1}, timeout=30) for number in range(100))
        )
        assert [result.structured for result in results] == [{"result": number + 1.0} for number in range(100)]
        await session.ping(10)
        call = asyncio.create_task(session.call_tool("slow", {"seconds": 60}, timeout=60))
        await session.ping(10)
        process.kill()
        with pytest.raises(ServerDied):
            await asyncio.wait_for(call, 10)
        async with asyncio.timeout(10):
            while session.alive:  # the call may have failed by its own request, before the stream was seen to end
                await asyncio.sleep(0.01)
        await session.close()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_what_is_sent_where(server: SseServer) -> None:
    async with session_with(server, Authorization="Bearer t") as session:
        await session.call_tool("do", {"a": 1}, timeout=10)
    assert server.methods() == ["initialize", "notifications/initialized", "tools/call"]
    assert {target for target, _, _ in server.posted} == {"/messages?session=1"}
    assert all(headers["authorization"] == "Bearer t" for _, headers, _ in server.posted)
    assert all(headers["content-type"] == "application/json" for _, headers, _ in server.posted)


@pytest.mark.parametrize(
    "endpoint", [b"http://127.0.0.1:{port}/m?x=1", b"m?x=1", b"//127.0.0.1:{port}/m?x=1", b"HTTP://127.0.0.1:{port}/m"]
)
async def test_endpoints_on_the_own_origin(server: SseServer, endpoint: bytes) -> None:
    server.endpoint = endpoint.replace(b"{port}", str(server.port).encode())
    async with session_with(server) as session:
        assert not (await session.call_tool("do", {}, timeout=10)).is_error
    assert server.posted[0][0].startswith("/m")


@pytest.mark.parametrize(
    "endpoint",
    [
        b"http://127.0.0.1:{other}/messages",
        b"http://localhost:{port}/messages",
        b"https://127.0.0.1:{port}/messages",
        b"//evil.example/messages",
        b"http://127.0.0.1:{port}@evil.example/messages",
        b"http://user:secret@127.0.0.1:{port}/messages",
        b"ftp://127.0.0.1:{port}/messages",
        b"file:///etc/passwd",
        b"javascript:alert(1)",
        b"http://127.0.0.1:99999/",
        b"http://[::1/",
        b"/\xff\xfe",
        b"/m\xc3\xbc",
        b"/" + b"x" * 3_000,
    ],
)
async def test_foreign_endpoints_are_refused(server: SseServer, endpoint: bytes) -> None:
    other = str(server.port + 1).encode()
    server.endpoint = endpoint.replace(b"{port}", str(server.port).encode()).replace(b"{other}", other)
    with pytest.raises(ProtocolViolation):
        await LegacySseSession.connect(SseLaunch(server.url))
    assert server.posted == []


async def test_an_endpoint_that_never_comes(monkeypatch: pytest.MonkeyPatch, server: SseServer) -> None:
    monkeypatch.setattr(legacy_sse, "START_SECONDS", 0.2)
    server.endpoint = None
    with pytest.raises(ServerUnavailable, match="where to send"):
        await LegacySseSession.connect(SseLaunch(server.url))


async def test_a_second_endpoint_ends_the_session(server: SseServer) -> None:
    async with session_with(server) as session:
        server.call = lambda _: server.say(b"/elsewhere", "endpoint")
        with pytest.raises(ProtocolViolation, match="twice"):
            await session.call_tool("do", {}, timeout=10)
        assert not session.alive


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "credentials"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "no time"),
        (b"HTTP/1.1 307 Moved\r\nLocation: http://evil.example/\r\nContent-Length: 0\r\n\r\n", "redirects"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n", "text/html"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 0\r\n\r\n", "ended"),
        (b"nonsense\r\n\r\n", "ended"),
    ],
)
async def test_what_is_no_stream(server: SseServer, head: bytes, said: str) -> None:
    server.head, server.endpoint = head, None
    with pytest.raises(ServerUnavailable, match=said):
        await LegacySseSession.connect(SseLaunch(server.url))


async def test_a_compressed_stream_is_refused(server: SseServer) -> None:
    server.head = server.head.replace(b"Connection", b"Content-Encoding: gzip\r\nConnection")
    with pytest.raises(ProtocolViolation, match="compressed"):
        await LegacySseSession.connect(SseLaunch(server.url))


async def test_nobody_listens(unused_tcp_port: int) -> None:
    with pytest.raises(ServerUnavailable, match="cannot be reached"):
        await LegacySseSession.connect(SseLaunch(f"http://127.0.0.1:{unused_tcp_port}/sse"))


async def test_the_guard_stands_before_the_stream(server: SseServer) -> None:
    with pytest.raises(AddressRefused):
        await LegacySseSession.connect(SseLaunch(server.url), client_factory=partial(guarded_client, frozenset()))
    assert server.streams == []


async def test_a_server_that_ends_before_it_is_ready(server: SseServer) -> None:
    server.status = "404 Not Found"
    with pytest.raises(ServerUnavailable):
        await LegacySseSession.connect(SseLaunch(server.url))


async def test_the_end_of_the_stream_fails_calls_and_the_pool_opens_another(server: SseServer) -> None:
    async def dies(_: Message) -> None:
        server.streams[-1].close()

    opener = TransportOpener(CommandAllowList([]))
    async with SessionPool(opener, PoolBounds(restart_delay_s=0.01)) as pool:
        session = await pool.session(SessionKey(uuid4(), uuid4(), 1), SseLaunch(server.url))
        server.call = dies
        with pytest.raises(ServerDied):
            await session.call_tool("do", {}, timeout=10)
        assert server.methods().count("tools/call") == 1
        server.call = server.answer
        assert not (await session.call_tool("do", {}, timeout=10)).is_error
        assert len(server.streams) == 2


async def test_a_call_that_is_never_answered_is_cancelled(server: SseServer) -> None:
    async def nothing(_: Message) -> None:
        pass

    server.call = nothing
    async with session_with(server) as session:
        with pytest.raises(ToolTimeout):
            await session.call_tool("do", {}, timeout=0.2)
        await session.ping(10)
        async with asyncio.timeout(5):
            while "notifications/cancelled" not in server.methods():
                await asyncio.sleep(0.01)
        by_method = {message.get("method"): message for _, _, message in server.posted}
        assert by_method["notifications/cancelled"]["params"]["requestId"] == by_method["tools/call"]["id"]
        await server.answer(by_method["tools/call"])  # late: dropped
        await session.ping(10)
        assert session.alive


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"no JSON", ProtocolViolation),
        (b"{}", ProtocolViolation),
        (b'{"jsonrpc": "2.0", "id": 4711, "result": {}}', ProtocolViolation),
        (b'{"jsonrpc": "2.0", "id": "1", "result": {}}', ProtocolViolation),
        (b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32700, "message": "?"}}', ProtocolViolation),
        (b"x" * 9_000_000, ProtocolViolation),
    ],
)
async def test_garbage_ends_the_session(server: SseServer, data: bytes, error: type[Exception]) -> None:
    server.call = lambda _: server.say(data)
    async with session_with(server) as session:
        with pytest.raises(error):
            await session.call_tool("do", {}, timeout=30)
        assert not session.alive


async def test_floods_end_the_session(server: SseServer) -> None:
    notice = b'event: message\ndata: {"jsonrpc": "2.0", "method": "notifications/x"}\n\n'
    for flood in (notice * 2_000, b"event: other\ndata: x\n\n" * 2_000, b": comment\n" * 8_000_000):
        async with session_with(server) as session:
            server.call = lambda _, flood=flood: server.write(flood)  # type: ignore[misc]
            with pytest.raises(ProtocolViolation):
                await session.call_tool("do", {}, timeout=60)
            assert not session.alive


async def test_a_long_life_is_no_flood(monkeypatch: pytest.MonkeyPatch, server: SseServer) -> None:
    from services.mcp_gateway.adapters.mcp import event_stream

    monkeypatch.setattr(event_stream, "HTTP_STREAM_MAX_BYTES", 2_000)
    async with session_with(server) as session:
        for _ in range(50):
            await server.write(b": still here\n\n")
            assert not (await session.call_tool("do", {}, timeout=10)).is_error
        assert session.alive


async def test_a_result_above_the_bound_fails_its_call_alone(server: SseServer) -> None:
    async def huge(message: Message) -> None:
        text = "y" * 3_000_000
        await server.send({"id": message["id"], "result": {"content": [{"type": "text", "text": text}]}})

    async with session_with(server) as session:
        server.call = huge
        with pytest.raises(ResultTooLarge):
            await session.call_tool("do", {}, timeout=10)
        server.call = server.answer
        await session.call_tool("do", {}, timeout=10)


@pytest.mark.parametrize(
    ("status", "error", "alive"),
    [
        ("400 Bad Request", ToolError, True),
        ("401 Unauthorized", ServerUnavailable, True),
        ("429 Too Many", ServerUnavailable, True),
        ("503 Busy", ServerDied, True),
        ("500 Broken", ToolError, True),
        ("404 Not Found", ServerUnavailable, False),
        ("410 Gone", ServerUnavailable, False),
    ],
)
async def test_messages_that_are_not_taken(server: SseServer, status: str, error: type[Exception], alive: bool) -> None:
    async with session_with(server) as session:
        server.status = status
        with pytest.raises(error):
            await session.call_tool("do", {}, timeout=10)
        assert session.alive is alive
        server.status = "202 Accepted"
        if alive:
            await session.call_tool("do", {}, timeout=10)


async def test_a_forgotten_session_leaves_open_what_came_of_earlier_calls(server: SseServer) -> None:
    async def nothing(_: Message) -> None:
        pass

    server.call = nothing
    async with session_with(server) as session:
        earlier = asyncio.create_task(session.call_tool("do", {}, timeout=10))
        await server.arrived.wait()
        server.status = "404 Not Found"
        with pytest.raises(ServerUnavailable):
            await session.call_tool("do", {}, timeout=10)
        with pytest.raises(ServerDied):
            await earlier


async def test_what_the_server_tells_unasked_is_heard(server: SseServer) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    opening = Opening(on_notification=lambda method, _: heard.put_nowait(method))
    session = await LegacySseSession.connect(SseLaunch(server.url), opening=opening)
    following = asyncio.create_task(session.follow(frozenset({"file:///a"})))
    await server.send({"method": "notifications/tools/list_changed"})
    assert await asyncio.wait_for(heard.get(), 10) == "notifications/tools/list_changed"
    async with asyncio.timeout(10):
        while "resources/subscribe" not in server.methods():
            await asyncio.sleep(0.01)
    assert not following.done()
    server.streams[-1].close()
    await asyncio.wait_for(following, 10)
    await session.close()


async def test_a_redirect_is_not_followed(server: SseServer) -> None:
    async with session_with(server) as session:
        server.status = "307 Moved\r\nLocation: /elsewhere"
        with pytest.raises(ServerUnavailable, match="redirects"):
            await session.call_tool("do", {}, timeout=10)
    assert {target for target, _, _ in server.posted} == {"/messages?session=1"}


async def test_a_question_is_answered_and_what_is_not_offered_refused(server: SseServer) -> None:
    async def asks(message: Message) -> None:
        await server.send({"id": "p", "method": "ping"})
        await server.send({"id": "s", "method": "sampling/createMessage", "params": {}})
        await server.answer(message)

    server.call = asks
    async with session_with(server) as session:
        await session.call_tool("do", {}, timeout=10)
        async with asyncio.timeout(5):
            while len(replies := [message for _, _, message in server.posted if "method" not in message]) < 2:
                await asyncio.sleep(0.01)
    by_id: dict[str, Any] = {reply["id"]: reply for reply in replies}
    assert by_id["p"]["result"] == {}
    assert by_id["s"]["error"]["code"] == -32601


async def test_a_server_that_takes_no_message(monkeypatch: pytest.MonkeyPatch, server: SseServer) -> None:
    """The requests stay open: what cannot be delivered is bounded, and nothing of it is left in the end."""
    monkeypatch.setattr(legacy_sse, "HTTP_POSTS_MAX", 3)
    async with session_with(server) as session:
        taken = server.handle

        async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(-1)
            writer.close()

        server.handle = deaf  # type: ignore[method-assign]
        held = asyncio.Event()
        server.call = lambda _: held.wait()  # type: ignore[assignment,return-value]
        calls = [asyncio.create_task(session.call_tool("do", {"n": n}, timeout=0.5)) for n in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(ServerUnavailable, match="does not read"):
            await session.call_tool("do", {}, timeout=0.5)
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(error) for error in ended] == [ToolTimeout] * 3
        held.set()
        server.handle = taken  # type: ignore[method-assign]
    assert not session._posts


async def test_closing_leaves_nothing(server: SseServer) -> None:
    clients: list[httpx2.AsyncClient] = []

    def make() -> httpx2.AsyncClient:
        clients.append(httpx2.AsyncClient())
        return clients[-1]

    session = await LegacySseSession.connect(SseLaunch(server.url), client_factory=make)
    held = asyncio.Event()
    server.call = lambda _: held.wait()  # type: ignore[assignment,return-value]
    call = asyncio.create_task(session.call_tool("do", {}, timeout=60))
    await server.arrived.wait()
    await session.close()
    with pytest.raises(ServerDied):
        await call
    with pytest.raises(ServerUnavailable):
        await session.call_tool("do", {}, timeout=1)
    held.set()
    assert clients[0].is_closed
    assert not session._posts
    assert session._reader is not None
    assert session._reader.done()
    await session.close()
