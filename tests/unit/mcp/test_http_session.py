"""The HTTP session against servers that are made of one function: what they may answer, and what they may not."""

import asyncio
import gzip
import json
from typing import Any

import httpx2
import pytest

from services.mcp_gateway.adapters.mcp.streamable_http import HttpSession
from services.mcp_gateway.errors import (
    ProtocolViolation,
    ResultTooLarge,
    ServerDied,
    ServerUnavailable,
    ToolError,
    ToolTimeout,
)
from tests.unit.mcp.http_server import DEEP, Answer, OldServer, call, connect, events, json_text, reply


async def test_an_old_server_is_met_with_the_handshake() -> None:
    server = OldServer()
    session = await connect(server)
    assert (session.era, session.protocol_version, session.server_info.name) == ("handshake", "2025-06-18", "old")
    assert await call(session) == "ok"
    await session.close()
    assert server.methods() == ["server/discover", "initialize", "notifications/initialized", "tools/call", "DELETE"]
    sent = server.requests[3][0].headers
    assert (sent["mcp-session-id"], sent["mcp-protocol-version"]) == ("s1", "2025-06-18")
    assert (sent["authorization"], sent["accept-encoding"]) == ("Bearer t", "identity")
    assert "mcp-method" not in sent
    assert "mcp-session-id" not in server.requests[1][0].headers
    with pytest.raises(ServerUnavailable):
        await call(session)


async def test_a_remembered_era_saves_the_question() -> None:
    server = OldServer()
    session = await connect(server, "handshake")
    assert server.methods() == ["initialize", "notifications/initialized"]
    await session.close()


def modern(_: httpx2.Request, body: dict[str, Any]) -> httpx2.Response | None:
    if body["method"] == "server/discover":
        info = {"io.modelcontextprotocol/serverInfo": {"name": "new", "version": "3"}}
        return reply(body, {"supportedVersions": ["2026-07-28"], "capabilities": {}, "_meta": info})
    return None


async def test_a_modern_server_gets_no_session() -> None:
    server = OldServer(modern)
    session = await connect(server)
    assert (session.era, session.protocol_version, session.server_info.name) == ("modern", "2026-07-28", "new")
    assert await call(session) == "ok"
    await session.ping(5)
    await session.close()
    assert server.methods() == ["server/discover", "tools/call", "server/discover"]
    sent = server.requests[1][0].headers
    assert (sent["mcp-method"], sent["mcp-name"]) == ("tools/call", "x")


async def test_a_server_that_offers_only_older_revisions_by_discovery() -> None:
    def discovers(_: httpx2.Request, body: dict[str, Any]) -> httpx2.Response | None:
        if body.get("method") == "server/discover":
            return reply(body, {"supportedVersions": ["2025-06-18"], "capabilities": {}})
        return None

    session = await connect(OldServer(discovers))
    assert session.era == "handshake"
    await session.close()


async def test_a_lost_session_is_opened_anew_once() -> None:
    def forgets(request: httpx2.Request, body: dict[str, Any]) -> httpx2.Response | None:
        if body.get("method") == "tools/call" and request.headers["mcp-session-id"] == "s1":
            return httpx2.Response(404, text="no such session")
        return None

    server = OldServer(forgets)
    session = await connect(server, "handshake")
    assert await call(session) == "ok"
    assert server.sessions == 2
    await session.close()


async def test_a_server_that_forgets_every_session() -> None:
    def forgets(_: httpx2.Request, body: dict[str, Any]) -> httpx2.Response | None:
        return httpx2.Response(404) if body.get("method") == "tools/call" else None

    server = OldServer(forgets)
    session = await connect(server, "handshake")
    with pytest.raises(ServerUnavailable, match="forgets"):
        await call(session)
    assert server.sessions == 2
    assert server.methods().count("tools/call") == 2
    await session.close()


async def calls_with(answer: Answer, error: type[Exception] | tuple[type[Exception], ...], said: str) -> HttpSession:
    def on_calls(request: httpx2.Request, body: dict[str, Any]) -> httpx2.Response | None:
        return answer(request, body) if body.get("method") == "tools/call" else None

    session = await connect(OldServer(on_calls), "handshake")
    with pytest.raises(error, match=said):
        await call(session)
    await session.close()
    return session


@pytest.mark.parametrize(
    ("response", "error", "said"),
    [
        (httpx2.Response(401), ServerUnavailable, "credentials"),
        (httpx2.Response(403), ServerUnavailable, "credentials"),
        (httpx2.Response(429, headers={"retry-after": "7"}), ServerUnavailable, "no time"),
        (httpx2.Response(307, headers={"location": "http://169.254.169.254/"}), ServerUnavailable, "redirects"),
        (httpx2.Response(500, text="oops"), ToolError, "HTTP 500"),
        (httpx2.Response(202), ToolError, "HTTP 202"),
        (httpx2.Response(200, text="<html>"), ProtocolViolation, "neither JSON nor events"),
        (httpx2.Response(200, text="{", headers={"content-type": "application/json"}), ProtocolViolation, "JSON-RPC"),
        (httpx2.Response(200, json={"jsonrpc": "2.0", "id": 999, "result": {}}), ProtocolViolation, "not asked"),
        (httpx2.Response(200, json={"jsonrpc": "2.0", "method": "ping", "id": 1}), ProtocolViolation, "no response"),
        (httpx2.Response(200, json={"a": "x" * 9_000_000}), ResultTooLarge, "larger"),
        (json_text(DEEP % (b"[" * 300, b"]" * 300)), ResultTooLarge, "nested"),
        # How deep the decoder itself goes depends on the Python: beyond that it is no JSON to us, before it too deep.
        (
            json_text(DEEP % (b"[" * 5_000, b"]" * 5_000)),
            (ProtocolViolation, ResultTooLarge),
            "shape|JSON-RPC|nested",
        ),
        (
            httpx2.Response(
                200,
                content=gzip.compress(b"0" * 1000),
                headers={"content-type": "application/json", "content-encoding": "gzip"},
            ),
            ProtocolViolation,
            "compressed",
        ),
        (
            httpx2.Response(400, json={"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": "because"}}),
            ToolError,
            "because",
        ),
        (events("{]"), ProtocolViolation, "JSON-RPC"),
        (events({"jsonrpc": "2.0", "method": "notifications/message"}), ServerDied, "before the result"),
        (events("x" * 9_000_000), ProtocolViolation, "limit"),
    ],
)
async def test_answers_that_are_errors(
    response: httpx2.Response, error: type[Exception] | tuple[type[Exception], ...], said: str
) -> None:
    await calls_with(lambda _request, _body: response, error, said)


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (httpx2.ConnectError("refused"), ServerUnavailable),
        (httpx2.ConnectTimeout("slow"), ServerUnavailable),
        (httpx2.ReadError("reset"), ServerDied),
        (httpx2.RemoteProtocolError("gone"), ServerDied),
    ],
)
async def test_whether_a_call_was_sent_decides_the_error(failure: Exception, error: type[Exception]) -> None:
    def breaks(_request: httpx2.Request, _body: dict[str, Any]) -> httpx2.Response:
        raise failure

    session = await calls_with(breaks, error, "server|connection")
    assert session.alive is False


async def test_retry_after_is_passed_on() -> None:
    def busy(_request: httpx2.Request, body: dict[str, Any]) -> httpx2.Response | None:
        return httpx2.Response(503, headers={"retry-after": "7"}) if body.get("method") == "tools/call" else None

    session = await connect(OldServer(busy), "handshake")
    # A proxy may say so of a request that it had passed on already: whether the tool acted is not known.
    with pytest.raises(ServerDied) as later:
        await call(session)
    assert later.value.retry_after == 7
    await session.close()


async def test_an_event_stream_may_say_more_before_the_answer() -> None:
    def streams(_request: httpx2.Request, body: dict[str, Any]) -> httpx2.Response | None:
        if body.get("method") != "tools/call":
            return None
        return events(
            {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 7, "progress": 1}},
            {"jsonrpc": "2.0", "id": "q1", "method": "roots/list"},
            {"jsonrpc": "2.0", "id": body["id"], "result": {"content": []}},
            head=": welcome\n\n",
        )

    server = OldServer(streams)
    session = await connect(server, "handshake")
    assert (await session.call_tool("x", {}, timeout=5)).content == []
    async with asyncio.timeout(5):
        while server.requests[-1][1].get("id") != "q1":
            await asyncio.sleep(0)
    assert server.requests[-1][1]["error"]["code"] == -32601
    await session.close()


async def test_a_stream_that_ends_early_is_resumed() -> None:
    asked: dict[str, Any] = {}

    def polls(request: httpx2.Request, body: dict[str, Any]) -> httpx2.Response | None:
        if body.get("method") == "tools/call":
            asked.update(body)
            return events("", head="id: 41\nretry: 10\n")
        if request.method == "GET":
            assert request.headers["last-event-id"] == "41"
            return events(
                {"jsonrpc": "2.0", "id": asked["id"], "result": {"content": [{"type": "text", "text": "late"}]}}
            )
        return None

    session = await connect(OldServer(polls), "handshake")
    assert await call(session) == "late"
    await session.close()


@pytest.mark.parametrize(
    "rest",
    [
        httpx2.Response(404),
        httpx2.Response(401),
        httpx2.Response(429),
        httpx2.ConnectError("refused"),
        httpx2.ReadError("reset"),
    ],
)
async def test_a_call_whose_rest_is_refused_was_sent_all_the_same(rest: httpx2.Response | Exception) -> None:
    def breaks_off(request: httpx2.Request, body: dict[str, Any]) -> httpx2.Response | None:
        if body.get("method") == "tools/call":
            return events("", head="id: 41\nretry: 1\n")
        if request.method == "GET":
            if isinstance(rest, Exception):
                raise rest
            return rest
        return None

    server = OldServer(breaks_off)
    session = await connect(server, "handshake")
    with pytest.raises(ServerDied):
        await call(session)
    assert server.methods().count("tools/call") == 1, "it may have acted"
    assert server.sessions == 1
    await session.close()


async def test_headers_that_a_tool_wants_are_learned_from_its_schema() -> None:
    schema = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}

    def strict(request: httpx2.Request, body: dict[str, Any]) -> httpx2.Response | None:
        if body["method"] == "tools/list":
            return reply(body, {"tools": [{"name": "x", "inputSchema": schema}]})
        if body["method"] == "tools/call" and "mcp-param-region" not in request.headers:
            error = {"code": -32020, "message": "Header mismatch"}
            return httpx2.Response(400, json={"jsonrpc": "2.0", "id": body["id"], "error": error})
        return modern(request, body)

    server = OldServer(strict)
    session = await connect(server)
    result = await session.call_tool("x", {"region": "eu"}, timeout=5)
    assert result.content[0]["text"] == "ok"
    assert server.methods() == ["server/discover", "tools/call", "tools/list", "tools/call"]
    with pytest.raises(ToolError):
        await session.call_tool("x", {}, timeout=5)
    await session.close()


async def test_nobody_speaks_our_revisions() -> None:
    with pytest.raises(ServerUnavailable, match="no protocol revision") as refused:
        await connect(lambda _: httpx2.Response(404, text="not here"))
    assert len(refused.value.details["refusals"]) == 2


async def test_credentials_refused_at_the_start_end_it_there() -> None:
    server = OldServer(lambda _request, _body: httpx2.Response(401))
    with pytest.raises(ServerUnavailable, match="credentials"):
        await connect(server)
    assert server.methods() == ["server/discover"]


async def test_a_late_answer_is_a_timeout() -> None:
    cancelled: list[dict[str, Any]] = []

    async def slow(request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content) if request.content else {}
        if body.get("method") == "tools/call":
            await asyncio.sleep(60)
        if body.get("method") == "notifications/cancelled":
            cancelled.append(body)
        return OldServer()(request)

    session = await connect(slow, "handshake")
    with pytest.raises(ToolTimeout):
        await call(session, 0.05)
    await asyncio.sleep(0.05)
    assert len(cancelled) == 1
    assert session.alive
    await session.close()


async def test_a_server_that_asks_without_end_is_ended() -> None:
    questions = [{"jsonrpc": "2.0", "id": f"q{number}", "method": "ping"} for number in range(200)]
    session = await calls_with(lambda _request, _body: events(*questions), ProtocolViolation, "does not take")
    assert not session.alive
