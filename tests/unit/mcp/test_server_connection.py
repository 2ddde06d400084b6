"""Both protocol eras as a bundled server speaks them, message by message."""

import asyncio
import json
import threading
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Raw

from services.mcp_gateway.servers.base import ToolServer
from services.mcp_gateway.servers.connection import Connection
from services.mcp_gateway.servers.tools import Number, ToolHints, ToolRefused

ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Peer:
    """A client of one connection: sends objects, keeps what comes back."""

    def __init__(self, server: ToolServer) -> None:
        self.received: list[Any] = []
        self.connection = Connection(server)
        self._id = 0

    def raw(self, line: str) -> None:
        self.connection.receive(line.encode(), lambda reply: self.received.append(json.loads(reply.data)))

    def request(self, method: str, params: dict[str, Any] | None = None, **fields: Any) -> None:
        self._id += 1
        message = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params or {}} | fields
        self.raw(json.dumps(message))

    def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        self.request(method, params)
        reply: dict[str, Any] = self.received.pop()
        assert reply["id"] == self._id
        return reply

    def initialize(self, version: str = "2025-11-25") -> dict[str, Any]:
        return self.ask("initialize", {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t"}})


@pytest.fixture
def server() -> ToolServer:
    made = ToolServer("demo", version="2.0", instructions="Try it.")
    release = threading.Event()

    @made.tool(inline=True)
    def shout(text: Annotated[str, Meta(description="What to shout.", max_length=10)], times: int = 1) -> str:
        """Shout something.

        This part is for readers of the code.
        """
        return (text.upper() + "!") * times

    @made.tool()
    def blocks() -> str:
        """Wait in a thread until released."""
        assert release.wait(10)
        return "released"

    @made.tool()
    async def opens() -> str:
        """Release what blocks."""
        release.set()
        return "open"

    @made.tool()
    async def sleeps() -> str:
        """Sleep for long."""
        await asyncio.sleep(60)
        return "awake"

    @made.tool(hints=ToolHints(read_only_hint=True))
    def refuses() -> str:
        """Refuse."""
        raise ToolRefused("not_today", "Not today.")

    @made.tool()
    def breaks() -> str:
        """Break."""
        raise RuntimeError("a secret detail")

    return made


@pytest.fixture
def peer(server: ToolServer) -> Peer:
    return Peer(server)


@pytest.mark.parametrize(
    ("offered", "settled"),
    [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ],
)
def test_the_handshake_settles_a_revision(peer: Peer, offered: str, settled: str) -> None:
    result = peer.initialize(offered)["result"]
    assert result["protocolVersion"] == settled
    assert result["serverInfo"] == {"name": "demo", "version": "2.0"}
    assert result["capabilities"] == {"tools": {"listChanged": False}}
    assert result["instructions"] == "Try it."
    assert "resultType" not in result
    assert peer.ask("ping")["result"] == {}
    assert peer.ask("server/discover")["error"]["code"] == -32601


def test_nothing_but_a_ping_before_the_handshake(peer: Peer) -> None:
    assert peer.ask("tools/list")["error"]["code"] == -32600
    assert peer.ask("ping")["result"] == {}
    assert peer.ask("initialize", {})["error"]["code"] == -32602


def test_the_modern_era_needs_no_handshake(peer: Peer) -> None:
    found = peer.ask("server/discover", {"_meta": ENVELOPE})["result"]
    assert found["supportedVersions"][0] == "2026-07-28"
    assert (found["resultType"], found["cacheScope"], found["instructions"]) == ("complete", "public", "Try it.")
    assert found["_meta"] == {"io.modelcontextprotocol/serverInfo": {"name": "demo", "version": "2.0"}}
    listed = peer.ask("tools/list", {"_meta": ENVELOPE})["result"]
    assert listed["ttlMs"] > 0
    called = peer.ask("tools/call", {"name": "shout", "arguments": {"text": "hi"}, "_meta": ENVELOPE})["result"]
    assert (called["resultType"], called["content"]) == ("complete", [{"type": "text", "text": "HI!"}])
    assert peer.ask("ping", {"_meta": ENVELOPE})["error"]["code"] == -32601


def test_eras_do_not_mix_on_one_connection(server: ToolServer) -> None:
    modern = Peer(server)
    modern.ask("tools/list", {"_meta": ENVELOPE})
    late = modern.initialize()["error"]
    assert (late["code"], late["data"]) == (-32022, {"supported": ["2026-07-28"], "requested": "2025-11-25"})
    assert modern.ask("tools/list")["error"]["code"] == -32602
    older = Peer(server)
    older.initialize()
    assert older.ask("tools/list", {"_meta": ENVELOPE})["error"]["code"] == -32600


def test_envelopes_that_are_refused(peer: Peer) -> None:
    version = "io.modelcontextprotocol/protocolVersion"
    assert peer.ask("tools/list", {"_meta": {version: "2026-07-28"}})["error"]["code"] == -32602
    refused = peer.ask("tools/list", {"_meta": ENVELOPE | {version: "2030-01-01"}})["error"]
    assert refused["code"] == -32022
    assert refused["data"]["requested"] == "2030-01-01"
    assert "2026-07-28" in refused["data"]["supported"]
    assert peer.ask("tools/list", {"_meta": ENVELOPE | {version: 7}})["error"]["code"] == -32602
    assert peer.initialize()["result"]["protocolVersion"] == "2025-11-25"


@pytest.mark.parametrize(
    ("line", "code", "request_id"),
    [
        ("{", -32700, None),
        ("nonsense", -32700, None),
        ('{"jsonrpc": "2.0", "id": 1, "method": "ping"', -32700, None),
        ("\ufeff{}", -32700, None),
        ("[" * 100_000, -32700, None),
        ("[]", -32600, None),
        ("7", -32600, None),
        ("{}", -32600, None),
        ('{"jsonrpc": "1.0", "id": 4, "method": "ping"}', -32600, 4),
        ('{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}', -32600, None),
        ('{"jsonrpc": "2.0", "id": {}, "method": "ping"}', -32600, None),
        ('{"jsonrpc": "2.0", "id": 5, "method": "ping", "params": [1]}', -32602, 5),
        ('{"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": {"name": 1}}', -32602, "a"),
        ('{"jsonrpc": "2.0", "id": 6, "method": "no/such"}', -32601, 6),
        ('{"jsonrpc": "2.0", "id": 7, "method": "tools/call"}', -32602, 7),
        ('{"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "none"}}', -32602, 7),
        ('{"jsonrpc": "2.0", "id": 8, "method": "tools/list", "params": {"cursor": "x"}}', -32602, 8),
    ],
)
def test_messages_that_are_refused(peer: Peer, line: str, code: int, request_id: Any) -> None:
    peer.initialize()
    peer.raw(line)
    (reply,) = peer.received
    assert (reply["error"]["code"], reply["id"]) == (code, request_id)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "   ",
        '{"jsonrpc": "2.0", "method": "notifications/initialized"}',
        '{"jsonrpc": "2.0", "method": "notifications/unknown", "params": {"a": 1}}',
        '{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 99}}',
        '{"jsonrpc": "2.0", "id": 1, "result": {}}',
    ],
)
def test_messages_that_get_no_reply(peer: Peer, line: str) -> None:
    peer.initialize()
    peer.raw(line)
    assert peer.received == []


def test_definitions_come_from_the_function(peer: Peer) -> None:
    peer.initialize()
    tools = {tool["name"]: tool for tool in peer.ask("tools/list")["result"]["tools"]}
    assert tools["shout"] == {
        "name": "shout",
        "description": "Shout something.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "text": {"type": "string", "maxLength": 10, "description": "What to shout."},
                "times": {"type": "integer", "default": 1},
            },
            "required": ["text"],
            "additionalProperties": False,
        },
    }
    assert tools["refuses"]["annotations"] == {"readOnlyHint": True}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "The call lacks the required field `text`"),
        ({"text": 5}, "Expected `str`, got `int` - at `text`"),
        ({"text": "x" * 11}, "Expected `str` of length <= 10 - at `text`"),
        ({"text": "x", "more": 1}, "The call contains unknown field `more`"),
        ({"text": "x", "times": True}, "Expected `int`, got `bool` - at `times`"),
    ],
)
def test_wrong_arguments_are_results_that_a_model_can_read(peer: Peer, arguments: dict[str, Any], said: str) -> None:
    peer.initialize()
    result = peer.ask("tools/call", {"name": "shout", "arguments": arguments})["result"]
    assert result["isError"] is True
    assert result["content"] == [{"type": "text", "text": said}]
    assert result["structuredContent"] == {"error": {"code": "arguments_invalid", "message": said}}


async def test_calls_do_not_block_the_reader(peer: Peer) -> None:
    peer.initialize()
    peer.request("tools/call", {"name": "blocks"})
    await asyncio.sleep(0.05)
    assert peer.ask("ping")["result"] == {}
    peer.request("tools/call", {"name": "opens"})
    await asyncio.wait_for(peer.connection.drain(), 10)
    texts = [reply["result"]["content"][0]["text"] for reply in peer.received]
    assert sorted(texts) == ["open", "released"]


async def test_a_cancelled_call_gets_no_reply(peer: Peer) -> None:
    peer.initialize()
    peer.request("tools/call", {"name": "sleeps"}, id="nap")
    await asyncio.sleep(0)
    peer.raw('{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "nap"}}')
    await asyncio.wait_for(peer.connection.drain(), 5)
    assert peer.received == []


async def test_an_id_is_used_once_at_a_time(peer: Peer) -> None:
    peer.initialize()
    peer.request("tools/call", {"name": "sleeps"}, id="nap")
    peer.request("tools/call", {"name": "sleeps"}, id="nap")
    assert peer.received.pop()["error"]["code"] == -32600
    peer.raw('{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "nap"}}')
    await peer.connection.drain()


async def test_too_many_calls_at_once_are_refused(peer: Peer) -> None:
    peer.initialize()
    for _ in range(257):
        peer.request("tools/call", {"name": "sleeps"})
    (refusal,) = peer.received
    assert refusal["error"]["code"] == -32000
    for number in range(1_000):
        peer.raw(json.dumps({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}}))
    await asyncio.wait_for(peer.connection.drain(), 5)


async def test_failures_are_results(peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    peer.initialize()
    peer.request("tools/call", {"name": "refuses"})
    peer.request("tools/call", {"name": "breaks"})
    await peer.connection.drain()
    errors = [reply["result"]["structuredContent"]["error"] for reply in peer.received]
    assert {"code": "not_today", "message": "Not today."} in errors
    assert {"code": "internal", "message": "The tool failed."} in errors
    assert "a secret detail" in caplog.text


async def test_batches_belong_to_one_revision(server: ToolServer) -> None:
    batch = json.dumps(
        [
            {"jsonrpc": "2.0", "id": 1, "method": "ping"},
            {"jsonrpc": "2.0", "method": "notifications/initialized"},
            {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "opens"}},
            {"jsonrpc": "2.0", "id": 3, "method": "no/such"},
        ]
    )
    older = Peer(server)
    older.initialize("2025-03-26")
    older.raw(batch)
    await older.connection.drain()
    await asyncio.sleep(0)
    (replies,) = older.received
    assert sorted(reply["id"] for reply in replies) == [1, 2, 3]
    older.received.clear()
    older.raw("[]")
    older.raw(json.dumps([{"jsonrpc": "2.0", "method": "notifications/initialized"}]))
    older.raw("[1")
    assert [reply["error"]["code"] for reply in older.received] == [-32600, -32700]
    newer = Peer(server)
    newer.initialize("2025-06-18")
    newer.raw(batch)
    assert newer.received[0]["error"]["code"] == -32600


def test_declarations_that_are_refused() -> None:
    made = ToolServer("demo", version="1")

    def undocumented(a: int) -> int:
        return a

    with pytest.raises(TypeError, match="docstring"):
        made.tool()(undocumented)

    def twice(a: Literal["x", "y"], b: Number = 3) -> str:
        """Be declared twice."""
        return f"{a}{b}"

    made.tool()(twice)
    with pytest.raises(ValueError, match="twice"):
        made.tool()(twice)
    properties = made.tools["twice"].input_schema["properties"]
    assert properties == {"a": {"enum": ["x", "y"]}, "b": {"type": "number", "default": 3}}
    assert made.tools["twice"].arguments(Raw(b'{"a": "x"}')) == {"a": "x", "b": 3}
