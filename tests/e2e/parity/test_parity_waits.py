"""Steps that wait: `delay`, `wait_for_event` and `approval`."""

import datetime as dt
import json
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from nats.aio.client import Client

from tests.e2e.conftest import Whole
from tests.e2e.parity.conftest import Agent
from tests.e2e.parity.told import ask, begin, ended, events, refused, run, status, step, tell, until, value
from tests.e2e.test_main_job import short

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONTROL = "commands.workflow.control-execution"
WAIT = {"type": "wait_for_event", "name": "paid", "event": "{input.what}.paid"}
APPROVAL = {
    "type": "approval",
    "name": "sign",
    "title": "Pay {input.amount}?",
    "message": "It is due.",
    "form_schema": {"type": "object", "required": ["account"], "properties": {"account": {"type": "string"}}},
}


async def command(operator: Client, whole: dict[str, Any], action: dict[str, Any], actor: str = "service:test") -> None:
    """Tell an execution something over NATS, as whoever may publish commands can."""
    told = {"execution_id": whole["id"], "tenant_id": whole["tenant_id"], "action": action, "actor": actor}
    await operator.jetstream().publish(CONTROL, json.dumps([told]).encode())


async def test_delay(whole: Whole, demo: httpx2.AsyncClient) -> None:
    until_ = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)).isoformat()
    begun = await begin(
        demo,
        {"type": "delay", "name": "while", "seconds": "{input.seconds}"},
        {"type": "delay", "name": "then", "until": until_},
        input_={"seconds": 0.5},
    )
    assert (await status(demo, begun, "waiting"))["current_step"] in {"while", "then"}
    whole.platform.kill("workflow")
    done = await ended(demo, begun)
    assert done["status"] == "completed", done["error"]
    waited = dt.datetime.fromisoformat(done["completed_at"]) - dt.datetime.fromisoformat(done["started_at"])
    assert waited >= dt.timedelta(seconds=0.5)
    assert dt.datetime.fromisoformat(done["completed_at"]) >= dt.datetime.fromisoformat(until_) - dt.timedelta(
        milliseconds=1
    )


async def test_a_signal_ends_a_wait(demo: httpx2.AsyncClient) -> None:
    begun = await begin(demo, WAIT, value("sum", "{paid.sum}"), input_={"what": "order"})
    await status(demo, begun, "waiting")
    other = await tell(demo, begun, "signals/another.paid", {"data": {"sum": 1}})
    assert other["status"] == "waiting"
    await tell(demo, begun, "signals/order.paid", {"data": {"sum": 42}})
    assert (await ended(demo, begun))["output_data"] == 42


async def test_a_signal_that_comes_before_its_wait_is_kept(demo: httpx2.AsyncClient, agent: Agent) -> None:
    begun = await begin(demo, ask("first", "hold"), WAIT, input_={"what": "order"})
    await step(demo, begun, "first", "scheduled")
    for _ in range(2):
        await tell(demo, begun, "signals/order.paid", {"data": "early"}, **{"Idempotency-Key": f"{begun}-1"})
    agent.release("first")
    done = await ended(demo, begun)
    assert (done["status"], done["output_data"]) == ("completed", "early")
    assert [short(event["type"]) for event in await events(demo, begun)].count("signal-received") == 1


async def test_a_signal_over_nats(demo: httpx2.AsyncClient, operator: Client) -> None:
    begun = await status(demo, await begin(demo, WAIT, input_={"what": "order"}), "waiting")
    signal = {"type": "signal", "name": "order.paid", "id": str(uuid4()), "data": [1, 2]}
    for _ in range(2):
        await command(operator, begun, signal)
    assert (await ended(demo, begun["id"]))["output_data"] == [1, 2]


async def test_nobody_signals(demo: httpx2.AsyncClient) -> None:
    impatient = WAIT | {"timeout_seconds": 0.3}
    failed = await run(demo, impatient, input_={"what": "order"})
    assert (failed["status"], failed["error"]["code"], failed["error"]["step"]) == ("failed", "step_timeout", "paid")
    another_way = impatient | {"on_timeout": [value("remind", "late"), value("reminded", "{remind}!")]}
    done = await run(demo, another_way, value("end", "{paid} {reminded}"), input_={"what": "order"})
    assert (done["status"], done["output_data"]) == ("completed", "late! late!")


async def test_an_approval_over_nats(demo: httpx2.AsyncClient, operator: Client) -> None:
    begun = await status(demo, await begin(demo, APPROVAL, input_={"amount": 7}), "waiting")
    asked = next(found for found in begun["steps"] if found["step_path"] == "sign")
    assert (asked["input_data"]["title"], asked["status"]) == ("Pay 7?", "waiting")
    decision = {"type": "decide", "path": "sign", "approved": True, "comment": "Fine."}
    await command(operator, begun, decision | {"data": {"account": 5}}, "user:ada")  # it does not fit the form
    await command(operator, begun, decision | {"data": {"account": "A5"}}, "user:ada")
    done = await ended(demo, begun["id"])
    assert done["output_data"] == {
        "approved": True,
        "decision": "approved",
        "decided_by": "user:ada",
        "comment": "Fine.",
        "data": {"account": "A5"},
    }
    waited = next(event for event in await events(demo, done["id"]) if short(event["type"]) == "step-waited")
    assert waited["data"]["by"] == "user:ada"


async def test_an_approval_over_http(demo: httpx2.AsyncClient) -> None:
    begun = await begin(demo, APPROVAL, value("seen", "{sign.decided_by}"), input_={"amount": 7})

    async def pending() -> Any:
        answer = await demo.get("/workflows/approvals", params={"limit": 100})
        assert answer.status_code == 200, answer.text
        return next((found for found in answer.json()["approvals"] if found["execution_id"] == begun), None)

    asked = await until(pending)
    assert (asked["title"], asked["message"], asked["step_path"]) == ("Pay 7?", "It is due.", "sign")
    at = f"/workflows/approvals/{asked['id']}"
    misfit = await demo.post(at, json={"approved": True, "data": {"account": 5}})
    assert (misfit.status_code, misfit.json()["code"]) == (422, "input_invalid")
    await tell(demo, begun, "pause")
    early = await demo.post(at, json={"approved": True, "data": {"account": "A5"}})
    assert (early.status_code, early.json()["code"]) == (409, "execution_paused")
    await tell(demo, begun, "resume")
    decided = await demo.post(at, json={"approved": True, "comment": "Fine.", "data": {"account": "A5"}})
    assert decided.status_code == 200, decided.text
    done = await ended(demo, begun)
    sign = next(found for found in done["steps"] if found["step_path"] == "sign")["output_data"]
    assert sign | {"decided_by": None} == {
        "approved": True,
        "decision": "approved",
        "decided_by": None,
        "comment": "Fine.",
        "data": {"account": "A5"},
    }
    assert done["output_data"] == sign["decided_by"]
    again = await demo.post(at, json={"approved": False})
    assert (again.status_code, again.json()["code"]) in {(409, "approval_not_pending"), (409, "execution_ended")}


async def test_another_tenants_approval_is_not_there(demo: httpx2.AsyncClient, stranger: httpx2.AsyncClient) -> None:
    begun = await begin(demo, APPROVAL, input_={"amount": 7})

    async def pending() -> Any:
        found = (await demo.get("/workflows/approvals", params={"limit": 100})).json()["approvals"]
        return next((one for one in found if one["execution_id"] == begun), None)

    asked = await until(pending)
    theirs = await stranger.post(f"/workflows/approvals/{asked['id']}", json={"approved": True})
    nobodys = await stranger.post(f"/workflows/approvals/{uuid4()}", json={"approved": True})
    assert (theirs.status_code, nobodys.status_code) == (404, 404)
    assert theirs.json()["code"] == nobodys.json()["code"]
    assert (await stranger.get("/workflows/approvals")).json()["approvals"] == []
    await tell(demo, begun, "terminate")


async def test_only_who_is_asked_decides_and_only_once(demo: httpx2.AsyncClient, operator: Client) -> None:
    asked = APPROVAL | {"assignees": ["user:{input.who}"]}
    begun = await status(
        demo, await begin(demo, asked, WAIT, input_={"amount": 7, "who": "ada", "what": "x"}), "waiting"
    )
    refusal = {"type": "decide", "path": "sign", "approved": False}
    answers = await operator.subscribe(f"answers.test.{begun['id']}")
    await operator.flush()
    codes = []
    for actor in ("user:eve", "user:ada", "user:ada"):
        told = {"execution_id": begun["id"], "tenant_id": begun["tenant_id"], "action": refusal, "actor": actor}
        await operator.jetstream().publish(
            CONTROL, json.dumps([told]).encode(), headers={"reply_to": f"answers.test.{begun['id']}"}
        )
        [answer] = json.loads((await answers.next_msg(timeout=30)).data)
        codes.append(answer.get("error", {}).get("code"))
    assert codes == ["not_an_assignee", None, "approval_not_pending"]
    decided = await step(demo, begun["id"], "sign", "completed")
    assert (decided["output_data"]["approved"], decided["output_data"]["decision"]) == (False, "rejected")
    await tell(demo, begun["id"], "terminate")


async def test_nobody_decides(demo: httpx2.AsyncClient) -> None:
    asked = APPROVAL | {"timeout_seconds": 0.3, "on_timeout": value("escalate", "to the boss")}
    done = await run(demo, asked, input_={"amount": 7})
    assert (done["status"], done["output_data"]) == ("completed", "to the boss")
    assert await refused(demo, done["id"], "pause") == (409, "execution_ended")
