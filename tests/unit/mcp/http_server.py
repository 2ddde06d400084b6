"""MCP servers that are made of one function, and the wire to them."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2

from services.mcp_gateway.adapters.mcp.launch import HttpLaunch
from services.mcp_gateway.adapters.mcp.model import Opening
from services.mcp_gateway.adapters.mcp.streamable_http import HttpSession
from services.mcp_gateway.app.relay import Era

LAUNCH = HttpLaunch("https://tools.example/mcp", {"Authorization": "Bearer t"})
Answer = Callable[[httpx2.Request, dict[str, Any]], httpx2.Response | None]


class OldServer:
    """A server of the handshake era. `answer` may take over any request by returning a response."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.answer = answer
        self.requests: list[tuple[httpx2.Request, dict[str, Any]]] = []
        self.sessions = 0

    def methods(self) -> list[str]:
        return [body.get("method", request.method) for request, body in self.requests]

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content) if request.content else {}
        self.requests.append((request, body))
        taken = self.answer(request, body) if self.answer is not None else None
        if taken is not None:
            return taken
        method = body.get("method")
        if method == "server/discover":
            return httpx2.Response(400, text="Bad Request: unsupported protocol version")
        if method == "initialize":
            self.sessions += 1
            handshake = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "old"}}
            return reply(body, handshake, headers={"Mcp-Session-Id": f"s{self.sessions}"})
        if "id" not in body:
            return httpx2.Response(202)
        return reply(body, {"content": [{"type": "text", "text": "ok"}], "tools": []})


def reply(body: dict[str, Any], result: dict[str, Any], **options: Any) -> httpx2.Response:
    return httpx2.Response(200, json={"jsonrpc": "2.0", "id": body["id"], "result": result}, **options)


DEEP = b'{"jsonrpc": "2.0", "id": 2, "result": {"content": [], "structuredContent": {"a": %s1%s}}}'


def json_text(text: bytes) -> httpx2.Response:
    return httpx2.Response(200, content=text, headers={"content-type": "application/json"})


def events(*messages: dict[str, Any] | str, head: str = "") -> httpx2.Response:
    text = head + "".join(
        f"data: {message if isinstance(message, str) else json.dumps(message)}\n\n" for message in messages
    )
    return httpx2.Response(200, text=text, headers={"content-type": "text/event-stream; charset=utf-8"})


class Wire(httpx2.AsyncBaseTransport):
    """Carries requests to a function and streams its answer back, as a network would."""

    def __init__(self, server: Callable[[httpx2.Request], httpx2.Response | Awaitable[httpx2.Response]]) -> None:
        self._server = server

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        answer = self._server(request)
        if isinstance(answer, Awaitable):
            answer = await answer
        return httpx2.Response(answer.status_code, headers=answer.headers, stream=_Body(answer.stream))


class _Body(httpx2.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._stream:
            for start in range(0, len(chunk), 65_536):
                yield chunk[start : start + 65_536]


async def connect(
    server: Callable[[httpx2.Request], httpx2.Response | Awaitable[httpx2.Response]], era: Era | None = None
) -> HttpSession:
    transport = Wire(server)
    return await HttpSession.connect(
        LAUNCH, client_factory=lambda: httpx2.AsyncClient(transport=transport), opening=Opening(era)
    )


async def call(session: HttpSession, seconds: float = 5) -> str:
    return str((await session.call_tool("x", {}, timeout=seconds)).content[0]["text"])
