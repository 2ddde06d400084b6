"""The MCP endpoint's streams: what is said before a result, what is asked, and clients that go away and come back."""

import asyncio
import json
from typing import Any

import pytest

from services.mcp_gateway.app.changes import Change
from services.mcp_gateway.limits import MCP_STREAM_FRAMES_MAX
from tests.unit.gateway.mcp_door import BASE, META, TENANTS, Door, Exchange, legacy, modern, opened

ASKS = {**META, "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}


def calling(tool: str, meta: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
    return {"name": tool, "arguments": {}, "_meta": {**META, **(meta or {})}, **params}


async def test_a_call_that_tells_nothing_is_answered_as_json() -> None:
    answer = await modern(Door(), "tools/call", calling("add", {"progressToken": 1})).whole()
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("token", [5, "five"])
async def test_progress_comes_before_the_result_under_the_clients_token(token: Any) -> None:
    answer = await modern(Door(), "tools/call", calling("tell", {"progressToken": token})).whole()
    progress, result = answer.events
    assert progress["params"] == {"progressToken": token, "progress": 1, "total": 2, "message": "half"}
    assert result["result"]["resultType"] == "complete"


async def test_log_lines_come_from_the_level_on_that_was_asked_for() -> None:
    level = "io.modelcontextprotocol/logLevel"
    shown = await modern(Door(), "tools/call", calling("tell", {level: "debug"})).whole()
    assert [event.get("method") for event in shown.events] == ["notifications/message", None]
    hidden = await modern(Door(), "tools/call", calling("tell", {level: "error"})).whole()
    assert hidden.json["result"]


async def test_a_client_of_before_is_asked_on_its_stream_and_answers_in_another_request() -> None:
    door = Door()
    session = await opened(door, elicitation={})
    call = legacy(door, {"id": 2, "method": "tools/call", "params": {"name": "ask"}}, session)
    await call.until(b"elicitation/create")
    (asked,) = call.events
    assert call.body.startswith(b"id: 1/0\nretry: 1000\ndata: \n\n")
    stranger = {"id": asked["id"], "result": {"action": "accept"}}
    assert (await legacy(door, stranger, session, Authorization="Bearer ap_test_two").whole()).status == 404
    assert (await legacy(door, {"id": "ask-0", "result": {}}, session).whole()).status == 202
    assert not call.task.done()
    reply = {"id": asked["id"], "result": {"action": "accept", "content": {"name": "ann"}}}
    assert (await legacy(door, reply, session).whole()).status == 202
    assert "ann" in (await call.whole()).events[-1]["result"]["content"][0]["text"]
    assert (await legacy(door, reply, session).whole()).status == 202  # once more: nobody waits for it


async def test_a_refusal_of_the_client_reaches_the_server() -> None:
    door = Door()
    session = await opened(door, elicitation={})
    call = legacy(door, {"id": 2, "method": "tools/call", "params": {"name": "ask"}}, session)
    await call.until(b"elicitation/create")
    error = {"code": -1, "message": "I will not"}
    await legacy(door, {"id": call.events[0]["id"], "error": error}, session).whole()
    assert (await call.whole()).events[-1]["error"]["message"] == "I will not"


async def test_a_call_is_held_while_a_modern_client_gets_what_is_asked() -> None:
    door = Door()
    first = await modern(door, "tools/call", calling("ask", ASKS)).whole()
    wanted = first.json["result"]
    assert wanted["resultType"] == "input_required"
    assert wanted["inputRequests"] == {"input": {"method": "elicitation/create", "params": {"message": "who?"}}}
    answers = {"inputResponses": {"input": {"action": "accept"}}, "requestState": wanted["requestState"]}
    again = calling("ask", ASKS, **answers)
    refused = [
        modern(door, "tools/call", again, Authorization="Bearer ap_test_two"),
        modern(door, "tools/call", {**again, "name": "tell"}),
        modern(door, "tools/call", {**again, "requestState": wanted["requestState"] + "x"}),
        modern(door, "tools/call", {**again, "inputResponses": {"other": {}}}),
        modern(door, "tools/call", {**again, "inputResponses": None}),
    ]
    for answer in [await exchange.whole() for exchange in refused]:
        assert answer.json["error"]["code"] == -32602
    done = await modern(door, "tools/call", again).whole()
    assert "accept" in done.json["result"]["content"][0]["text"]
    assert door.upstream.calls == 1
    assert (await modern(door, "tools/call", again).whole()).json["error"]["code"] == -32602


async def test_a_modern_client_that_goes_away_takes_its_call_back() -> None:
    door = Door()
    for meta in ({}, {"progressToken": 1}):
        door.upstream.begun.clear()
        door.upstream.cancelled.clear()
        call = modern(door, "tools/call", calling("hang", meta))
        await door.upstream.begun.wait()
        call.leave()
        async with asyncio.timeout(5):
            await door.upstream.cancelled.wait()
        assert not call.body


async def test_a_client_of_before_takes_its_call_back_by_saying_so_and_not_by_going_away() -> None:
    door = Door()
    session = await opened(door)
    call = legacy(door, {"id": "c", "method": "tools/call", "params": {"name": "hang"}}, session)
    await door.upstream.begun.wait()
    call.leave()
    await call.whole()
    assert not door.upstream.cancelled.is_set()
    notice = {"method": "notifications/cancelled", "params": {"requestId": "c"}}
    assert (await legacy(door, notice, session).whole()).status == 202
    async with asyncio.timeout(5):
        await door.upstream.cancelled.wait()


async def test_who_was_cut_off_comes_back_for_the_rest() -> None:
    door = Door()
    session = await opened(door, elicitation={})
    call = legacy(door, {"id": 2, "method": "tools/call", "params": {"name": "ask"}}, session)
    await call.until(b"elicitation/create")
    call.leave()
    await call.whole()
    reply = {"id": call.events[0]["id"], "result": {"action": "decline"}}
    await legacy(door, reply, session).whole()
    back = {**BASE, "Mcp-Session-Id": session, "Last-Event-Id": "1/1"}
    rest = await Exchange(door, "GET", "/mcp/s", back, b"").whole()
    assert "decline" in rest.events[0]["result"]["content"][0]["text"]
    assert b"id: 1/2\n" in rest.body


async def test_a_session_hears_of_changes_on_its_stream() -> None:
    door = Door()
    session = await opened(door)
    door.tell(Change("tools"))
    listening = Exchange(door, "GET", "/mcp/s", {**BASE, "Mcp-Session-Id": session}, b"")
    await listening.until(b"tools/list_changed")  # of before it listened
    subscribed = {"id": 2, "method": "resources/subscribe", "params": {"uri": "test://a"}}
    assert (await legacy(door, subscribed, session).whole()).json["result"] == {}
    door.tell(Change("resources", "test://b"))
    door.tell(Change("resources", "test://a"))
    await listening.until(b"resources/updated")
    assert listening.events[-1]["params"] == {"uri": "test://a"}
    await Exchange(door, "DELETE", "/mcp/s", {**BASE, "Mcp-Session-Id": session}, b"").whole()
    await listening.whole()
    assert door.changes.count(TENANTS["ap_test_one"]) == 0


async def test_a_modern_listener_hears_what_it_asked_for_and_is_told_of_the_end() -> None:
    door = Door()
    asked = {"notifications": {"promptsListChanged": True, "resourceSubscriptions": ["test://a"]}}
    listening = modern(door, "subscriptions/listen", asked)
    await listening.until(b"acknowledged")
    door.tell(Change("tools"))
    door.tell(Change("prompts"))
    door.tell(Change("resources", "test://a"))
    await listening.until(b"resources/updated")
    door.modern.close()
    events = (await listening.whole()).events
    methods = [event.get("method", "").removeprefix("notifications/") for event in events]
    assert methods == ["subscriptions/acknowledged", "prompts/list_changed", "resources/updated", ""]
    subscription = "io.modelcontextprotocol/subscriptionId"
    assert {event["params"]["_meta"][subscription] for event in events[:-1]} == {7}
    assert door.changes.count(TENANTS["ap_test_one"]) == 0


async def test_what_a_slow_reader_leaves_is_bounded() -> None:
    door = Door()
    session = await opened(door)
    for _ in range(MCP_STREAM_FRAMES_MAX + 500):
        door.tell(Change("tools"))
    (kept,) = door.sessions
    assert kept.general.said == MCP_STREAM_FRAMES_MAX + 500
    listening = Exchange(door, "GET", "/mcp/s", {**BASE, "Mcp-Session-Id": session}, b"")
    await listening.until(f"id: 0/{MCP_STREAM_FRAMES_MAX + 500}\n".encode())
    assert len(listening.events) == MCP_STREAM_FRAMES_MAX
    listening.leave()
    await listening.whole()


async def test_one_id_is_one_request_at_a_time() -> None:
    door = Door()
    session = await opened(door)
    call = {"id": 9, "method": "tools/call", "params": {"name": "hang"}}
    first = legacy(door, call, session)
    await door.upstream.begun.wait()
    second = await legacy(door, call, session).whole()
    assert second.json["error"]["code"] == -32600
    door.handshake.close()
    assert json.loads((await first.whole()).body)["error"]["code"] == -32800
