"""The small parts of the client's wire: codec, event streams, headers."""

import json
import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.inbound import classify_inbound_request, decode_header_value, mcp_param_headers, x_mcp_header_map
from mcp_types.jsonrpc import jsonrpc_message_adapter
from msgspec import UNSET, Raw

from services.mcp_gateway.adapters.mcp import codec
from services.mcp_gateway.adapters.mcp.event_stream import EventStreamParser
from services.mcp_gateway.adapters.mcp.http_headers import modern_headers, param_headers_by_tool
from services.mcp_gateway.adapters.mcp.model import ToolDefinition
from services.mcp_gateway.domain.param_headers import encode_value
from services.mcp_gateway.domain.rpc import RpcError
from services.mcp_gateway.errors import ProtocolViolation


@pytest.mark.parametrize(
    "encoded",
    [
        codec.encode_request(1, "tools/call", {"name": "x", "arguments": {"a": 1}}, modern=False),
        codec.encode_request(2, "tools/call", {"name": "x", "arguments": {}}, modern=True),
        codec.encode_notification("notifications/initialized"),
        codec.encode_notification("notifications/cancelled", {"requestId": 3}),
        codec.encode_reply("s", {}),
        codec.encode_refusal(4, RpcError(-32601, "no")),
    ],
)
def test_what_we_send_is_what_the_sdk_reads(encoded: bytes) -> None:
    message = jsonrpc_message_adapter.validate_json(encoded)
    assert message.model_dump(mode="json", exclude_unset=True) == json.loads(encoded)
    assert b"\n" not in encoded


def test_modern_requests_carry_their_envelope() -> None:
    body = json.loads(codec.encode_request(7, "tools/list", {}, modern=True))
    verdict = classify_inbound_request(body, headers=modern_headers("tools/list", {}, None))
    assert verdict.protocol_version == "2026-07-28"  # type: ignore[union-attr]
    plain = json.loads(codec.encode_request(7, "tools/list", {}, modern=False))
    assert plain["params"] == {}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"Server listening on stdio",
        b'{"jsonrpc": "1.0", "id": 1, "result": {}}',
        b'{"jsonrpc": "2.0", "id": 1.5, "result": {}}',
        b'{"jsonrpc": "2.0", "id": 1, "error": {"message": "no code"}}',
        b'{"jsonrpc": "2.0", "id": 1, "method": 5}',
        b'{"jsonrpc": "2.0", "id": 1, "result": {}} trailing',
        b'{"jsonrpc": "2.0", "id": "\xff\xfe", "result": {}}',
        b'{"a":' * 50_000,
    ],
)
def test_lines_that_are_no_messages(line: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        codec.decode_incoming(line)


def test_an_error_without_an_id_is_read() -> None:
    message = codec.decode_incoming(b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32700, "message": "?"}}')
    assert message.id is None
    assert message.error is not UNSET
    assert message.error.code == -32700


@pytest.mark.parametrize(
    ("raw", "structured", "is_error"),
    [
        (b'{"content": []}', None, False),
        (b'{"content": [], "structuredContent": {"a": 1}, "isError": true}', {"a": 1}, True),
        (b'{"content": [], "structuredContent": [1, 2], "resultType": "complete"}', {"result": [1, 2]}, False),
        (b'{"content": [], "structuredContent": 5}', {"result": 5}, False),
        (b"{}", None, False),
    ],
)
def test_tool_results(raw: bytes, structured: Any, is_error: bool) -> None:
    result = codec.decode_tool_result(Raw(raw), 1.5)
    assert (result.structured, result.is_error, result.duration_ms) == (structured, is_error, 1.5)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"content": "text"}',
        b'{"content": [1]}',
        b'{"resultType": "task"}',
        b'{"content": [], "structuredContent": ' + b"[" * 50_000,
        b"[]",
    ],
)
def test_results_of_the_wrong_shape(raw: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        codec.decode_tool_result(Raw(raw), 0)


STREAM = (
    b": hello\r\nid: 7\r\nretry: 250\r\nevent: message\r\ndata: {\r\ndata:  1}\r\n\r\n\nid: 8\ndata:\n\ndata: x\n\n"
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_an_event_stream_may_be_cut_anywhere(cuts: list[int]) -> None:
    parser = EventStreamParser()
    edges = [0, *sorted(cuts), len(STREAM)]
    events = [event for start, end in pairwise(edges) for event in parser.feed(STREAM[start:end])]
    assert [event.data for event in events] == [b"{\n 1}", b"", b"x"]
    assert (parser.last_id, parser.retry_ms) == ("8", 250)


def test_an_event_above_the_bound_is_a_violation() -> None:
    whole = EventStreamParser()
    with pytest.raises(ProtocolViolation):
        list(whole.feed(b"data: " + b"x" * 9_000_000))
    pieces = EventStreamParser()
    for _ in range(8):
        assert list(pieces.feed(b"data: " + b"x" * 1_000_000 + b"\n")) == []
    with pytest.raises(ProtocolViolation):
        list(pieces.feed(b"data: " + b"x" * 1_000_000 + b"\n"))


@given(st.text(max_size=40))
def test_header_values_survive(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        return
    encoded = encode_value(value)
    assert encoded.isascii()
    assert encoded.isprintable()
    assert encoded == encoded.strip()
    assert decode_header_value(encoded) == value


def test_argument_headers_agree_with_the_sdk() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "urgent": {"type": "boolean", "x-mcp-header": "Urgent"},
            "plain": {"type": "string"},
            "where": {
                "type": "object",
                "properties": {"zone": {"type": "integer", "x-mcp-header": "Zone"}},
            },
        },
    }
    arguments = {"region": "eu ü", "urgent": True, "plain": "x", "where": {"zone": 4}}
    ours = param_headers_by_tool([ToolDefinition("t", schema)])["t"]
    headers = modern_headers("tools/call", {"name": "t", "arguments": arguments}, ours)
    expected = mcp_param_headers(x_mcp_header_map(schema), arguments)
    assert {name.lower(): value for name, value in headers.items() if name.startswith("mcp-param-")} == {
        name.lower(): value for name, value in expected.items()
    }
    bare = modern_headers("tools/call", {"name": "t", "arguments": {}}, ours)
    assert bare == {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "t"}


def test_header_tokens_that_could_break_out_are_ignored() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "x-mcp-header": "X\r\nHost: evil"}}}
    assert param_headers_by_tool([ToolDefinition("t", schema)]) == {}


def test_a_stream_that_never_comes_to_an_end_is_a_violation() -> None:
    parser = EventStreamParser()
    for _ in range(64):
        list(parser.feed(b":" * 999_999 + b"\n"))
    with pytest.raises(ProtocolViolation, match="stream above"):
        list(parser.feed(b":" * 4_000_000 + b"\n"))


def test_a_line_that_comes_in_drops_is_not_copied_for_each() -> None:
    parser = EventStreamParser()
    began = time.perf_counter()
    list(parser.feed(b"data: " + b"x" * 7_000_000))
    for _ in range(5_000):
        list(parser.feed(b"x"))
    assert time.perf_counter() - began < 1
    (event,) = parser.feed(b"\n\n")
    assert len(event.data) == 7_005_000


def test_an_event_stream_names_its_events() -> None:
    events = list(EventStreamParser().feed(b"event: endpoint\ndata: /m\n\ndata: a\n\nevent:\ndata: b\n\n"))
    assert [(event.name, event.data) for event in events] == [("endpoint", b"/m"), ("message", b"a"), ("message", b"b")]


@pytest.mark.parametrize("line", [b": comment\n", b"\n", b"data:\n\n", b"data:\n", b"id: 1\n", b"x\n"])
def test_lines_without_end_are_no_stream(line: bytes) -> None:
    with pytest.raises(ProtocolViolation, match="lines above the limit"):
        list(EventStreamParser().feed(line * 100_001))


def test_a_stream_that_goes_on_is_no_flood() -> None:
    parser = EventStreamParser()
    for _ in range(100):
        assert len(list(parser.feed(b": comment\n" * 5_000 + b"data: x\n\n"))) == 1
