"""The stream on which a server of the handshake era asks: it is answered, and the stream opened again when it ends."""

import asyncio
import json
from typing import Any

import httpx2
import pytest

from services.mcp_gateway.adapters.mcp import standing
from services.mcp_gateway.adapters.mcp.model import Opening
from services.mcp_gateway.adapters.mcp.streamable_http import HttpSession
from services.mcp_gateway.app.relay import Client
from tests.unit.mcp.http_server import LAUNCH, Stream, Wire, call, reply

CHANGED = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
ASKING = Client("handshake", {"elicitation": {}}, "s")


class Server(httpx2.AsyncBaseTransport):
    """A server with a standing stream. `refusal` is the status of those who want it."""

    def __init__(self, refusal: int | None = None) -> None:
        self._wire = Wire(self._answer)
        self._refusal = refusal
        self.streams: list[Stream] = []
        self.opened = asyncio.Semaphore(0)
        self.refused = asyncio.Semaphore(0)
        self.got: list[dict[str, Any]] = []
        self.answered = asyncio.Event()
        self.headers: list[httpx2.Headers] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await self._wire.handle_async_request(request)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content) if request.content else {"method": request.method}
        self.got.append(body)
        method = body.get("method")
        if method == "GET":
            return self._stand(request)
        if "id" not in body or method is None:
            self.answered.set()
            return httpx2.Response(202)
        if method == "server/discover":
            return httpx2.Response(400, text="no")
        result = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "content": [{"type": "text", "text": "ok"}],
        }
        return reply(body, result, headers={"mcp-session-id": "s1"})

    def _stand(self, request: httpx2.Request) -> httpx2.Response:
        self.headers.append(request.headers)
        if self._refusal is not None:
            self.refused.release()
            return httpx2.Response(self._refusal)
        self.streams.append(Stream())
        self.opened.release()
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=self.streams[-1])

    async def session(self, heard: list[str], client: Client | None = ASKING) -> HttpSession:
        return await HttpSession.connect(
            LAUNCH,
            client_factory=lambda: httpx2.AsyncClient(transport=self),
            opening=Opening(client=client, on_notification=lambda method, _: heard.append(method)),
        )


class Person:
    """The client of a call, which is asked."""

    client = ASKING

    def __init__(self) -> None:
        self.extra: dict[str, Any] = {}

    def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None: ...

    def notify(self, method: str, params: Any) -> None: ...

    async def ask(self, method: str, params: Any) -> Any:
        return {"action": "accept", "content": {"asked": method}}


async def heard_by(heard: list[str], count: int) -> None:
    async with asyncio.timeout(5):
        while len(heard) < count:
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "STANDING_RETRY_SECONDS", 0.0)


async def test_what_is_said_is_heard_also_after_the_stream_ended() -> None:
    server, heard = Server(), []
    session = await server.session(heard)
    for number in (1, 2):
        await server.opened.acquire()
        server.streams[-1].say(CHANGED)
        await heard_by(heard, number)
        server.streams[-1].end()
    await session.close()
    assert heard == ["notifications/tools/list_changed"] * 2
    assert server.headers[0]["mcp-session-id"] == "s1"


async def test_a_stream_is_opened_for_a_client_that_can_be_asked_and_for_no_other() -> None:
    server = Server()
    session = await server.session([], None)
    assert await call(session) == "ok"
    await session.close()
    assert server.headers == []


@pytest.mark.parametrize("status", [405, 400, 401])
async def test_a_server_without_the_stream_is_asked_once(status: int) -> None:
    server = Server(refusal=status)
    session = await server.session([])
    await server.refused.acquire()
    for _ in range(20):
        await asyncio.sleep(0)
    assert await call(session) == "ok"
    await session.close()
    assert len(server.headers) == 1


@pytest.mark.parametrize("status", [404, 429, 503])
async def test_a_server_that_has_no_stream_now_is_asked_again(status: int) -> None:
    server = Server(refusal=status)
    session = await server.session([])
    async with asyncio.timeout(10):
        for _ in range(3):
            await server.refused.acquire()
    await session.close()
    assert len(server.headers) >= 3


async def test_what_is_asked_on_the_sessions_stream_reaches_the_client_of_the_call() -> None:
    server = Server()
    session = await server.session([])
    await server.opened.acquire()
    asked = {"jsonrpc": "2.0", "id": 9, "method": "elicitation/create", "params": {}}
    release = asyncio.Event()
    plain = server.handle_async_request

    async def held(request: httpx2.Request) -> httpx2.Response:
        if b"tools/call" in request.content:
            server.streams[-1].say(asked)
            await release.wait()
        return await plain(request)

    server.handle_async_request = held  # type: ignore[method-assign]
    calling = asyncio.create_task(session.call_tool("x", {}, timeout=5, relay=Person()))
    server.answered.clear()
    async with asyncio.timeout(5):
        await server.answered.wait()
    release.set()
    await calling
    await session.close()
    answers = [body for body in server.got if body.get("id") == 9]
    assert answers == [
        {"jsonrpc": "2.0", "id": 9, "result": {"action": "accept", "content": {"asked": asked["method"]}}}
    ]


async def test_a_stream_that_floods_ends_the_session() -> None:
    server = Server()
    session = await server.session([])
    await server.opened.acquire()
    for _ in range(2_100):
        server.streams[-1].say(CHANGED)
    async with asyncio.timeout(5):
        while session.alive:
            await asyncio.sleep(0)
    assert not session.alive
    await session.close()


async def test_a_closed_session_leaves_no_stream_behind() -> None:
    server = Server()
    session = await server.session([])
    await server.opened.acquire()
    await session.close()
    await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() if "keep_open" in repr(task)]
