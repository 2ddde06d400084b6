"""What a bundled server answers by HTTP: who may come in, which era a request belongs to, and each status."""

import asyncio
import base64
import json
from typing import Any

import msgspec
import pytest

from services.mcp_gateway.servers.base import ToolServer
from services.mcp_gateway.servers.streamable_http import intake, sessions
from services.mcp_gateway.servers.streamable_http.door import Door
from services.mcp_gateway.servers.streamable_http.endpoint import Endpoint

ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
TOKEN = "a-token-of-a-length-that-nobody-guesses"
Headers = dict[str, str] | list[tuple[str, str]]


class Got(msgspec.Struct):
    status: int
    headers: dict[str, str]
    body: Any


class Browser:
    """Sends requests to an endpoint as a server of HTTP would hand them on."""

    def __init__(self, door: Door | None = None) -> None:
        server = ToolServer("demo", version="2.0")
        self.running = asyncio.Event()

        @server.tool(inline=True)
        def shout(text: str) -> str:
            """Shout."""
            return text.upper()

        @server.tool()
        async def sleeps() -> str:
            """Sleep for long."""
            self.running.set()
            await asyncio.sleep(60)
            return "awake"

        self.endpoint = Endpoint(server, door if door is not None else Door(loopback=True, token=None))
        self.session: str | None = None

    async def send(
        self,
        body: Any = b"",
        headers: Headers | None = None,
        *,
        verb: str = "POST",
        path: str = "/mcp",
        parts: int = 1,
        leaves: asyncio.Event | None = None,
    ) -> Got | None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = list(headers.items()) if isinstance(headers, dict) else headers or []
        names = {name for name, _ in given}
        usual = {"host": "127.0.0.1:8900", "content-type": "application/json"}
        fields = [*((name, value) for name, value in usual.items() if name not in names), *given]
        scope = {
            "type": "http",
            "method": verb,
            "path": path,
            "headers": [(name.encode(), value.encode()) for name, value in fields],
        }
        size = max(1, -(-len(data) // parts))
        pieces = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
        inbox = [
            {"type": "http.request", "body": piece, "more_body": number < len(pieces) - 1}
            for number, piece in enumerate(pieces)
        ]
        sent: list[Any] = []

        async def receive() -> Any:
            if inbox:
                return inbox.pop(0)
            await (leaves if leaves is not None else asyncio.Event()).wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.endpoint(scope, receive, send)  # type: ignore[arg-type]
        if not sent:
            return None
        start, rest = sent
        answered = {name.decode(): value.decode() for name, value in start["headers"]}
        assert answered["content-length"] == str(len(rest["body"]))
        return Got(start["status"], answered, json.loads(rest["body"]) if rest["body"] else None)

    async def modern(self, method: str, headers: Headers | None = None, **params: Any) -> Got:
        told = {"mcp-protocol-version": "2026-07-28", "mcp-method": method}
        if "name" in params:
            told["mcp-name"] = params["name"]
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": ENVELOPE, **params}}
        fields = [*(item for item in told.items() if item[0] not in dict(headers or {})), *dict(headers or {}).items()]
        got = await self.send(message, [(name, value) for name, value in fields if value])
        assert got is not None
        return got

    async def initialize(self, version: str = "2025-11-25") -> Got:
        got = await self.send(
            {
                "jsonrpc": "2.0",
                "id": 0,
                "method": "initialize",
                "params": {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t"}},
            }
        )
        assert got is not None
        self.session = got.headers["mcp-session-id"]
        return got

    async def ask(self, message: Any, **options: Any) -> Got | None:
        assert self.session is not None
        return await self.send(message, {"mcp-session-id": self.session}, **options)


def request(request_id: int, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


@pytest.fixture
def browser() -> Browser:
    return Browser()


async def test_a_session_from_its_begin_to_its_end(browser: Browser) -> None:
    opened = await browser.initialize()
    assert (opened.status, opened.body["result"]["protocolVersion"]) == (200, "2025-11-25")
    noticed = await browser.ask({"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert noticed is not None
    assert (noticed.status, noticed.body) == (202, None)
    responded = await browser.ask({"jsonrpc": "2.0", "id": 7, "result": {}})
    assert responded is not None
    assert responded.status == 202
    called = await browser.ask(request(1, "tools/call", name="shout", arguments={"text": "hi"}))
    assert called is not None
    assert called.body["result"]["structuredContent"] == {"result": "HI"}
    refused = await browser.ask(request(2, "no/such"))
    assert refused is not None
    assert (refused.status, refused.body["error"]["code"], refused.body["id"]) == (200, -32601, 2)
    broken = await browser.ask(b"{")
    assert broken is not None
    assert (broken.status, broken.body["error"]["code"]) == (400, -32700)
    ended = await browser.ask(b"", verb="DELETE")
    assert ended is not None
    assert (ended.status, ended.body) == (204, None)
    for verb in ("POST", "DELETE"):
        gone = await browser.ask(request(3, "ping"), verb=verb)
        assert gone is not None
        assert gone.status == 404


async def test_batches_belong_to_one_revision(browser: Browser) -> None:
    batch = [request(1, "ping"), {"jsonrpc": "2.0", "method": "notifications/initialized"}, request(2, "tools/list")]
    await browser.initialize("2025-03-26")
    answered = await browser.ask(batch)
    assert answered is not None
    assert (answered.status, [reply["id"] for reply in answered.body]) == (200, [1, 2])
    silent = await browser.ask([{"jsonrpc": "2.0", "method": "notifications/initialized"}])
    assert silent is not None
    assert silent.status == 202
    await browser.initialize("2025-06-18")
    refused = await browser.ask(batch)
    assert refused is not None
    assert (refused.status, refused.body["error"]["code"]) == (400, -32600)


async def test_a_session_is_asked_for(browser: Browser) -> None:
    for message in (request(1, "tools/list"), {"jsonrpc": "2.0", "method": "notifications/initialized"}):
        got = await browser.send(message)
        assert got is not None
        assert (got.status, got.body["id"]) == (400, None)
    got = await browser.send(verb="DELETE")
    assert got is not None
    assert got.status == 400
    got = await browser.send(request(1, "initialize"))
    assert got is not None
    assert got.body["error"]["code"] == -32602
    assert "mcp-session-id" not in got.headers
    got = await browser.send(request(1, "ping"), {"mcp-session-id": "nobody's"})
    assert got is not None
    assert got.status == 404


async def test_a_cancelled_call_ends_its_request(browser: Browser) -> None:
    await browser.initialize()
    call = asyncio.create_task(browser.ask(request(9, "tools/call", name="sleeps")))
    await browser.running.wait()
    await browser.ask({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 9}})
    got = await asyncio.wait_for(call, 5)
    assert got is not None
    assert (got.status, got.body["id"], got.body["error"]["code"]) == (200, 9, -32800)


async def test_a_deleted_session_ends_its_calls(browser: Browser) -> None:
    await browser.initialize()
    call = asyncio.create_task(browser.ask(request(9, "tools/call", name="sleeps")))
    await browser.running.wait()
    await browser.ask(b"", verb="DELETE")
    got = await asyncio.wait_for(call, 5)
    assert got is not None
    assert got.body["error"]["code"] == -32800


async def test_a_client_of_a_session_that_leaves_has_not_cancelled(browser: Browser) -> None:
    await browser.initialize()
    leaves = asyncio.Event()
    call = asyncio.create_task(browser.ask(request(9, "tools/call", name="sleeps"), leaves=leaves))
    await browser.running.wait()
    leaves.set()
    assert await asyncio.wait_for(call, 5) is None
    again = await browser.ask(request(9, "tools/call", name="sleeps"))
    assert again is not None
    assert again.body["error"]["message"] == "This id belongs to a request that still runs"


async def test_the_longest_unused_session_makes_room(monkeypatch: pytest.MonkeyPatch, browser: Browser) -> None:
    monkeypatch.setattr(sessions, "SERVER_HTTP_SESSIONS_MAX", 2)
    await browser.initialize()
    at_work = browser.session
    call = asyncio.create_task(browser.ask(request(1, "tools/call", name="sleeps")))
    await browser.running.wait()
    await browser.initialize()
    resting = browser.session
    await browser.initialize()
    statuses = []
    for session in (at_work, resting, browser.session):
        assert session is not None
        got = await browser.send(request(2, "ping"), {"mcp-session-id": session})
        assert got is not None
        statuses.append(got.status)
    assert statuses == [200, 404, 200]
    browser.running.clear()
    second = asyncio.create_task(browser.ask(request(1, "tools/call", name="sleeps")))
    await browser.running.wait()
    full = await browser.send(request(0, "initialize", protocolVersion="2025-11-25"))
    assert full is not None
    assert (full.status, full.headers["retry-after"]) == (503, "1")
    for task in (call, second):
        task.cancel()


async def test_the_modern_era_is_stateless(browser: Browser) -> None:
    found = await browser.modern("server/discover")
    assert (found.status, found.body["result"]["supportedVersions"][0]) == (200, "2026-07-28")
    assert "mcp-session-id" not in found.headers
    listed = await browser.modern("tools/list")
    assert [tool["name"] for tool in listed.body["result"]["tools"]] == ["shout", "sleeps"]
    called = await browser.modern("tools/call", name="shout", arguments={"text": "hi"})
    assert called.body["result"]["structuredContent"] == {"result": "HI"}
    encoded = f"=?base64?{base64.b64encode(b'shout').decode()}?="
    called = await browser.modern("tools/call", {"mcp-name": encoded}, name="shout", arguments={"text": "hi"})
    assert called.status == 200
    notice = await browser.send(
        {"jsonrpc": "2.0", "method": "notifications/cancelled"}, {"mcp-protocol-version": "2026-07-28"}
    )
    assert notice is not None
    assert (notice.status, notice.body) == (202, None)


@pytest.mark.parametrize(
    ("method", "params", "headers", "status", "code"),
    [
        ("no/such", {}, {}, 404, -32601),
        ("ping", {}, {}, 404, -32601),
        ("tools/call", {"name": "none"}, {}, 400, -32602),
        ("tools/call", {}, {}, 400, -32602),
        ("initialize", {"protocolVersion": "2025-11-25"}, {}, 400, -32022),
        ("tools/list", {"_meta": {}}, {}, 400, -32602),
        ("tools/list", {"_meta": {**ENVELOPE, "io.modelcontextprotocol/clientCapabilities": 1}}, {}, 400, -32602),
        ("tools/list", {}, {"mcp-method": "tools/call"}, 400, -32020),
        ("tools/list", {}, {"mcp-method": ""}, 400, -32020),
        ("tools/list", {}, {"mcp-protocol-version": "2030-01-01"}, 400, -32020),
        ("tools/list", {}, {"mcp-protocol-version": "2026-07-28, 2026-07-28"}, 400, -32020),
        ("tools/list", {}, {"mcp-protocol-version": ""}, 400, -32020),
        ("tools/call", {"name": "shout"}, {"mcp-name": "sleeps"}, 400, -32020),
        ("tools/call", {"name": "shout"}, {"mcp-name": ""}, 400, -32020),
        ("tools/call", {"name": "shout"}, {"mcp-name": "=?base64?!?="}, 400, -32020),
        ("tools/call", {"name": "shout"}, {"mcp-name": "=?base64?/w==?="}, 400, -32020),
    ],
)
async def test_modern_requests_that_are_refused(
    browser: Browser, method: str, params: dict[str, Any], headers: dict[str, str], status: int, code: int
) -> None:
    got = await browser.modern(method, headers, **params)
    assert (got.status, got.body["error"]["code"]) == (status, code)


async def test_revisions_that_nobody_speaks(browser: Browser) -> None:
    version = {"io.modelcontextprotocol/protocolVersion": "2030-01-01"}
    got = await browser.modern("tools/list", {"mcp-protocol-version": "2030-01-01"}, _meta=ENVELOPE | version)
    assert (got.status, got.body["error"]["code"]) == (400, -32022)
    assert "2026-07-28" in got.body["error"]["data"]["supported"]
    notice = await browser.send({"jsonrpc": "2.0", "method": "notifications/x"}, {"mcp-protocol-version": "2030-01-01"})
    assert notice is not None
    assert (notice.status, notice.body["error"]["code"], notice.body["id"]) == (400, -32022, None)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b'[{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}]', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "result": {}}', -32600),
        (b'{"jsonrpc": "2.0", "id": null, "method": "tools/list"}', -32600),
    ],
)
async def test_bodies_that_are_refused(browser: Browser, body: bytes, code: int) -> None:
    for headers in ({"mcp-protocol-version": "2026-07-28"}, {}):
        got = await browser.send(body, headers)
        assert got is not None
        assert got.status == 400
        assert got.body["error"]["code"] in {code, -32600}
    assert len(browser.endpoint._sessions) == 0


async def test_a_modern_client_that_leaves_cancels_its_call(browser: Browser) -> None:
    leaves = asyncio.Event()
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "sleeps"}
    message = request(1, "tools/call", name="sleeps", _meta=ENVELOPE)
    before = asyncio.all_tasks()
    call = asyncio.create_task(browser.send(message, headers, leaves=leaves))
    await browser.running.wait()
    leaves.set()
    assert await asyncio.wait_for(call, 5) is None
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("verb", "path", "headers", "status"),
    [
        ("GET", "/mcp", {}, 405),
        ("OPTIONS", "/mcp", {}, 405),
        ("PUT", "/mcp", {}, 405),
        ("POST", "/", {}, 404),
        ("POST", "/mcp/", {}, 404),
        ("POST", "/mcp", {"content-type": "text/plain"}, 415),
        ("POST", "/mcp", {"content-type": "application/jsonp"}, 415),
        ("POST", "/mcp", {"content-type": "application/json; charset=utf-8"}, 400),
        ("POST", "/mcp", {"content-encoding": "gzip"}, 415),
        ("POST", "/mcp", {"accept": "text/event-stream"}, 406),
        ("POST", "/mcp", {"accept": "text/event-stream, application/json;q=0.5"}, 400),
        ("POST", "/mcp", {"accept": "*/*"}, 400),
    ],
)
async def test_requests_that_are_turned_away(
    browser: Browser, verb: str, path: str, headers: dict[str, str], status: int
) -> None:
    got = await browser.send(b"{", headers, verb=verb, path=path)
    assert got is not None
    assert got.status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost:8900"}, 400),
        ({"host": "[::1]:8900"}, 400),
        ({"host": "127.0.0.1"}, 400),
        ({"host": "LOCALHOST"}, 400),
        ({"origin": "http://localhost:3000"}, 400),
        ({"origin": "http://127.0.0.1:8900"}, 400),
        ({"host": ""}, 421),
        ({"host": "evil.example:8900"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"host": "localhost.evil.example"}, 421),
        ({"host": "localhost@evil.example"}, 421),
        ({"host": "localhost, evil.example"}, 421),
        ({"host": "127.1"}, 421),
        ({"host": "0.0.0.0"}, 421),
        ({"host": "[::1"}, 421),
        ({"host": "192.168.1.1"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://localhost.evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "file://"}, 403),
        ({"origin": "http://localhost:3000, http://evil.example"}, 403),
        ({"origin": "http://localhost@evil.example"}, 403),
    ],
)
async def test_only_this_machine_by_its_own_names(browser: Browser, headers: dict[str, str], status: int) -> None:
    got = await browser.send(b"{", headers)
    assert got is not None
    assert got.status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": f"Bearer {TOKEN}"}, 400),
        ({"authorization": f"bearer  {TOKEN}"}, 400),
        ({"authorization": f"Bearer {TOKEN}", "host": "tools.example", "origin": "https://tools.example"}, 400),
        ({"authorization": f"Bearer {TOKEN}", "host": "tools.example", "origin": "https://evil.example"}, 403),
        ({"authorization": f"Bearer {TOKEN}", "origin": "http://localhost:3000"}, 403),
        ({"authorization": f"Bearer {TOKEN}x"}, 401),
        ({"authorization": f"Bearer {TOKEN[:-1]}"}, 401),
        ({"authorization": f"Basic {TOKEN}"}, 401),
        ({"authorization": "Bearer ü"}, 401),
        ({"authorization": TOKEN}, 401),
        ({"authorization": ""}, 401),
        ({}, 401),
    ],
)
async def test_nobody_without_the_token(headers: dict[str, str], status: int) -> None:
    remote = Browser(Door(loopback=False, token=TOKEN))
    got = await remote.send(b"{", headers)
    assert got is not None
    assert got.status == status


async def test_two_tokens_are_none() -> None:
    remote = Browser(Door(loopback=False, token=TOKEN))
    got = await remote.send(b"{", [("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer other")])
    assert got is not None
    assert got.status == 401


async def test_the_size_of_a_body(monkeypatch: pytest.MonkeyPatch, browser: Browser) -> None:
    monkeypatch.setattr(intake, "SERVER_MESSAGE_MAX_BYTES", 1_000)
    for headers in ({}, {"content-length": "1001"}):
        got = await browser.send(b" " * 1_001, headers, parts=10)
        assert got is not None
        assert (got.status, got.headers["connection"]) == (413, "close")
    monkeypatch.setattr(intake, "SERVER_HTTP_BODIES_MAX_BYTES", 900)
    got = await browser.send(b" " * 1_000, parts=10)
    assert got is not None
    assert (got.status, got.headers["connection"]) == (503, "close")
    got = await browser.send(b" " * 900, parts=10)
    assert got is not None
    assert got.status == 400
    assert browser.endpoint._intake._held == 0


async def test_a_body_that_does_not_come(monkeypatch: pytest.MonkeyPatch, browser: Browser) -> None:
    monkeypatch.setattr(intake, "SERVER_HTTP_BODY_SECONDS", 0.01)
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    fields = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": fields}
    await browser.endpoint(scope, receive, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


async def test_a_client_that_leaves_before_it_has_sent_all(browser: Browser) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    fields = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": fields}
    await browser.endpoint(scope, receive, send)  # type: ignore[arg-type]
    assert not sent
