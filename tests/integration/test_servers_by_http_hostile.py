"""Clients of a bundled server that are slow, endless or no HTTP at all, on real connections."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from services.mcp_gateway.servers.base import ToolServer
from services.mcp_gateway.servers.streamable_http import intake, protocol
from services.mcp_gateway.servers.streamable_http.door import Door
from services.mcp_gateway.servers.streamable_http.serving import http_server

CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {
        "name": "says",
        "arguments": {"size": 10},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    },
}
HEAD = (
    b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: says\r\n"
)


def post(size: int = 10) -> bytes:
    message: Any = json.loads(json.dumps(CALL))
    message["params"]["arguments"]["size"] = size
    body = json.dumps(message).encode()
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """Serve in this process, so that a test can make the times short."""
    server = ToolServer("demo", version="1")

    @server.tool(inline=True)
    def says(size: int) -> str:
        """Say that much."""
        return "x" * size

    listener = socket.create_server(("127.0.0.1", 0))
    http = http_server(server, Door(loopback=True, token=None))
    running = asyncio.create_task(http._serve([listener]))
    while not http.started:
        await asyncio.sleep(0.01)
    try:
        yield listener.getsockname()[1]
    finally:
        http.should_exit = True
        await asyncio.wait_for(running, 10)
    assert http.server_state.connections == set()


async def exchange(port: int, *parts: bytes) -> bytes:
    """Send all parts and return what comes until the server ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        got = await asyncio.wait_for(reader.read(-1), 10)
    except ConnectionError:
        pass  # a reset is an end too
    finally:
        writer.close()
    return got


async def answers(port: int) -> bool:
    got = await exchange(port, post().replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
    return b"200 OK" in got and b"xxxxxxxxxx" in got


@pytest.fixture
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "SERVER_HTTP_HEAD_SECONDS", 0.3)
    monkeypatch.setattr(protocol, "SERVER_HTTP_SEND_SECONDS", 0.3)
    monkeypatch.setattr(intake, "SERVER_HTTP_BODY_SECONDS", 0.3)


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"PO", HEAD], ids=["nothing", "a line", "a word", "some headers"])
async def test_a_head_that_does_not_come_ends_the_connection(short_times: None, begun: bytes) -> None:
    async with serving() as port:
        got = await exchange(port, begun)
        assert got == b"" or b" 400 " in got
        assert await answers(port)


async def test_a_second_head_that_does_not_come_ends_the_connection(short_times: None) -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post())
        await reader.readuntil(b"xxx")
        writer.write(b"POST /mcp")
        await asyncio.wait_for(reader.read(-1), 10)
        assert reader.at_eof()
        writer.close()
        assert await answers(port)


async def test_a_body_that_does_not_come_ends_the_connection(short_times: None) -> None:
    async with serving() as port:
        got = await exchange(port, HEAD + b"Content-Length: 1000\r\n\r\n{")
        assert b" 408 " in got
        assert await answers(port)


async def test_a_head_without_end_is_refused() -> None:
    async with serving() as port:
        got = await exchange(port, HEAD, *[b"X-Padding: " + b"x" * 60_000] * 20)
        assert got == b"" or b" 400 " in got
        assert await answers(port)


async def test_a_body_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "SERVER_MESSAGE_MAX_BYTES", 100_000)
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    async with serving() as port:
        got = await exchange(port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 200)
        assert got == b"" or b" 413 " in got
        assert await answers(port)


async def test_trailers_without_end_are_refused() -> None:
    async with serving() as port:
        got = await exchange(
            port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", *[b"X-Trailer: " + b"x" * 60_000 + b"\r\n"] * 100
        )
        assert b"200" not in got
        assert await answers(port)


@pytest.mark.parametrize(
    "bytes_sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
        b"nonsense\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\n\r\n",
        HEAD + b"Host: localhost\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n",
        HEAD + b"Content-Length: 99999999999\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_no_http_is_refused(short_times: None, bytes_sent: bytes) -> None:
    async with serving() as port:
        got = await exchange(port, bytes_sent)
        assert b"200" not in got.partition(b"\r\n")[0]
        assert await answers(port)


async def test_a_client_that_does_not_take_its_answer_is_left(short_times: None) -> None:
    async with serving() as port:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.connect(("127.0.0.1", port))
            client.sendall(post(8_000_000))
            await asyncio.sleep(1.0)
            client.settimeout(5)
            taken = 0
            with suppress(ConnectionResetError):
                while part := client.recv(65_536):
                    taken += len(part)
            assert taken < 8_000_000
        assert await answers(port)


async def test_connections_above_the_bound_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "SERVER_HTTP_CONNECTIONS_MAX", 3)
    async with serving() as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        for _, writer in held:
            writer.write(b"POST")
            await writer.drain()
        assert await exchange(port, post()) == b""
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        async with asyncio.timeout(5):
            while not await answers(port):
                await asyncio.sleep(0.01)


async def test_many_requests_on_one_connection_are_answered_in_their_order() -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"".join(post(size) for size in range(20)))
        for size in range(20):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            (length,) = (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length"))
            body = json.loads(await reader.readexactly(length))
            assert body["result"]["structuredContent"] == {"result": "x" * size}
        writer.close()
