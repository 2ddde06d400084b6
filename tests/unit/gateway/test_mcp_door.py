"""What the MCP endpoint refuses, and how it says so."""

import json
from typing import Any

import pytest

from tests.unit.gateway.mcp_door import BASE, META, Door, Exchange, legacy, modern, opened

CALL = {"name": "add", "arguments": {"a": 1}}


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": "Basic x"}, 401),
        ({"Authorization": "Bearer ap_test_nobody"}, 401),
        ({"Authorization": "Bearer " + "x" * 10_000}, 401),
        ({"Authorization": "Bearer ap_test_reader"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "[::1"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Accept": "text/html"}, 406),
    ],
)
async def test_who_may_not_is_told_before_anything_is_read(changed: dict[str, str], status: int) -> None:
    door = Door()
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": CALL}).encode()
    answer = await Exchange(door, "POST", "/mcp/s", {**BASE, **changed}, body).whole()
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["trace_id"] in answer.headers["traceparent"]
    assert door.upstream.calls == 0


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:8000", "192.168.0.7:8000", "mcp.example"])
async def test_names_that_are_its_own_are_served(host: str) -> None:
    door = Door(hosts=frozenset({"mcp.example"}))
    answer = await modern(door, "tools/list", Host=host, Origin=f"http://{host}").whole()
    assert answer.status == 200


async def test_an_unknown_profile_is_not_found() -> None:
    assert (await modern(Door(), "tools/list", path="/mcp/other").whole()).status == 404
    assert (await modern(Door(), "tools/list", path="/mcp/..%2Fs").whole()).status == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600),
        (b'{"id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":[1],"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b"null", -32600),
        (b'"text"', -32600),
    ],
)
async def test_what_is_no_message_is_refused(body: bytes, code: int) -> None:
    answer = await Exchange(Door(), "POST", "/mcp/s", BASE, body).whole()
    assert (answer.status, answer.json["error"]["code"]) == (400, code)


async def test_a_body_above_the_limit_is_refused_while_it_comes() -> None:
    answer = await Exchange(Door(), "POST", "/mcp/s", BASE, [b"x" * 1_048_576] * 5).whole()
    assert (answer.status, answer.json["code"]) == (413, "too_large")


@pytest.mark.parametrize("params", ["[1]", '"x"', "{" + '"a":{' * 500 + "}" * 501, "7"])
@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_params_of_the_wrong_shape(params: str, era: str) -> None:
    door = Door()
    headers = dict(BASE)
    if era == "legacy":
        headers["Mcp-Session-Id"] = await opened(door)
    else:
        headers |= {"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call"}
    body = f'{{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{params}}}'.encode()
    answer = await Exchange(door, "POST", "/mcp/s", headers, body).whole()
    assert (answer.json["id"], answer.json["error"]["code"]) == (3, -32602)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"Mcp_Method": "tools/list"}, -32020),
        ({"Mcp_Method": "TOOLS/CALL"}, -32020),
        ({"Mcp_Name": "other"}, -32020),
        ({"Mcp_Name": "=?base64?YWRk"}, -32020),
        ({"Mcp_Protocol_Version": "2099-01-01"}, -32020),
        ({"Mcp_Param_A": "2"}, -32020),
        ({"Mcp_Param_A": "=?base64?MQ?="}, -32020),
    ],
)
async def test_headers_that_contradict_the_body(changed: dict[str, str], code: int) -> None:
    door = Door()
    answer = await modern(door, "tools/call", CALL, **changed).whole()
    assert (answer.status, answer.json["error"]["code"], answer.json["id"]) == (400, code, 7)
    assert door.upstream.calls == 0


async def test_headers_may_be_encoded() -> None:
    answer = await modern(Door(), "tools/call", CALL, Mcp_Name="=?base64?YWRk?=", Mcp_Param_A="=?base64?MQ==?=").whole()
    assert answer.json["result"] == {"content": [{"type": "text", "text": "2"}], "resultType": "complete"}


@pytest.mark.parametrize("meta", [None, {}, {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}, 7])
async def test_a_modern_request_says_what_it_is(meta: Any) -> None:
    answer = await modern(Door(), "tools/list", {"_meta": meta}).whole()
    assert (answer.status, answer.json["error"]["code"]) == (400, -32602)


async def test_a_revision_that_is_not_spoken_here() -> None:
    meta = {**META, "io.modelcontextprotocol/protocolVersion": "v999"}
    answer = await modern(Door(), "tools/list", {"_meta": meta}, Mcp_Protocol_Version="v999").whole()
    assert (answer.status, answer.json["error"]["code"]) == (400, -32022)
    assert answer.json["error"]["data"] == {"supported": ["2026-07-28"], "requested": "v999"}


@pytest.mark.parametrize("method", ["initialize", "ping", "logging/setLevel", "tasks/list", "x" * 5_000])
async def test_methods_that_the_modern_era_has_not(method: str) -> None:
    answer = await modern(Door(), method).whole()
    assert (answer.status, answer.json["error"]["code"]) == (404, -32601)


async def test_a_resource_that_is_nowhere() -> None:
    answer = await modern(Door(), "resources/read", {"uri": "test://b"}).whole()
    assert answer.json["error"]["code"] == -32602
    assert answer.json["error"]["data"] == {"uri": "test://b"}


async def test_a_session_is_its_openers_alone() -> None:
    door = Door()
    session = await opened(door)
    ping = {"id": 2, "method": "ping"}
    assert (await legacy(door, ping, session).whole()).json["result"] == {}
    assert (await legacy(door, ping, session, Authorization="Bearer ap_test_two").whole()).status == 404
    assert (await legacy(door, ping, "made-up").whole()).status == 404
    assert (await legacy(door, ping).whole()).status == 400
    gone = await Exchange(door, "DELETE", "/mcp/s", {**BASE, "Mcp-Session-Id": session}, b"").whole()
    assert gone.status == 204
    assert (await legacy(door, ping, session).whole()).status == 404


@pytest.mark.parametrize("verb", ["PUT", "PATCH", "OPTIONS", "HEAD"])
async def test_other_verbs(verb: str) -> None:
    assert (await Exchange(Door(), verb, "/mcp/s", BASE, b"").whole()).status == 405


async def test_the_modern_era_has_post_alone() -> None:
    headers = {**BASE, "Mcp-Protocol-Version": "2026-07-28"}
    assert (await Exchange(Door(), "GET", "/mcp/s", headers, b"").whole()).status == 405
