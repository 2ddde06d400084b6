"""What an execution can be told: cancel, terminate, pause, resume, retry, fork, signal."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.e2e.parity.conftest import Agent
from tests.e2e.parity.told import (
    EXECUTIONS,
    ask,
    begin,
    ended,
    events,
    refused,
    start,
    status,
    statuses,
    step,
    step_of,
    tell,
    until,
    value,
)
from tests.e2e.test_main_job import WORKFLOWS, active, short

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONTROLS = ["cancel", "terminate", "pause", "resume", "retry", "signals/go", "fork"]
THREE = [ask("a", context="{input.n}"), ask("b", "fail", "{a.response}"), ask("c", context="{b.response}")]


def types(recorded: list[dict[str, Any]]) -> list[str]:
    return [short(event["type"]) for event in recorded]


async def test_cancel(demo: httpx2.AsyncClient, agent: Agent) -> None:
    begun = await begin(demo, ask("slow", "hold"), ask("never"))
    await step(demo, begun, "slow", "scheduled")
    done = await tell(demo, begun, "cancel", {"reason": "enough"})
    assert (done["status"], statuses(done)) == ("cancelled", {"slow": "cancelled"})
    recorded = await events(demo, begun)
    assert recorded[-1]["data"]["reason"] == "enough"
    assert recorded[-1]["actor"].startswith(("user:", "operator", "service:", "key:"))
    agent.release("slow")
    assert await tell(demo, begun, "cancel") == done
    assert await tell(demo, begun, "terminate") == done
    assert await events(demo, begun) == recorded


async def test_pause_and_resume(demo: httpx2.AsyncClient, agent: Agent) -> None:
    begun = await begin(demo, ask("slow", "hold"), ask("next", context="{slow.response}"))
    await step(demo, begun, "slow", "scheduled")
    paused = await tell(demo, begun, "pause", {"reason": "a look"})
    assert paused["status"] == "paused"
    assert (await tell(demo, begun, "pause"))["version"] == paused["version"]
    agent.release("slow")

    async def is_held() -> bool:
        return "step-result-held" in types(await events(demo, begun))

    await until(is_held)
    assert agent.asked(begun) == ["slow"]
    assert (await status(demo, begun, "paused"))["current_step"] == "slow"
    await tell(demo, begun, "resume")
    done = await ended(demo, begun)
    assert (done["status"], done["output_data"]["response"]) == ("completed", "say hold")
    assert agent.asked(begun) == ["slow", "next"]
    recorded = types(await events(demo, begun))
    assert (recorded.count("execution-paused"), recorded.count("execution-resumed")) == (1, 1)


async def test_time_stands_still_during_a_pause(demo: httpx2.AsyncClient) -> None:
    begun = await begin(demo, {"type": "delay", "name": "while", "seconds": 1.0})
    await tell(demo, begun, "pause")
    due = next(event["data"]["due"] for event in await events(demo, begun) if short(event["type"]) == "step-started")
    await _pass(1.5)
    assert (await status(demo, begun, "paused"))["output_data"] is None
    await tell(demo, begun, "resume")
    done = await ended(demo, begun)
    assert done["status"] == "completed"
    ends = [event["data"]["at"] for event in await events(demo, begun) if short(event["type"]) == "step-completed"]
    assert ends[0] >= due + 1000


async def test_a_paused_execution_can_be_cancelled(demo: httpx2.AsyncClient, agent: Agent) -> None:
    begun = await begin(demo, ask("done", compensate=ask("undo_done")), ask("slow", "hold"))
    await step(demo, begun, "slow", "scheduled")
    await tell(demo, begun, "pause")
    await tell(demo, begun, "cancel")
    assert (await ended(demo, begun))["status"] == "cancelled"
    assert agent.asked(begun) == ["done", "slow", "done/undo_done"]


async def test_retry_goes_on_from_what_failed(demo: httpx2.AsyncClient, agent: Agent) -> None:
    begun = await begin(demo, *THREE, input_={"n": 1})
    failed = await ended(demo, begun)
    assert (failed["status"], failed["error"]["step"]) == ("failed", "b")
    key = {"Idempotency-Key": str(uuid4())}
    assert (await tell(demo, begun, "retry", **key))["status"] == "running"
    again = await ended(demo, begun)
    assert again["status"] == "failed"
    await tell(demo, begun, "retry", **key)
    assert await ended(demo, begun) == again
    agent.broken = False
    await tell(demo, begun, "retry")
    done = await ended(demo, begun)
    assert (done["status"], done["error"]) == ("completed", None)
    assert done["output_data"]["response"] == "say fail say 1"
    assert agent.asked(begun) == ["a", "b", "b", "b", "c"]
    assert await refused(demo, begun, "retry") == (409, "execution_not_retryable")


async def test_retry_inside_what_holds_others(demo: httpx2.AsyncClient, agent: Agent) -> None:
    each = {
        "type": "foreach",
        "name": "each",
        "items": [0, 1, 2],
        "max_concurrency": 1,
        "steps": [
            ask("first", context="{item}"),
            {
                "type": "conditional",
                "name": "odd",
                "condition": "$.item == 1",
                "if_true": ask("shaky", "fail", "{first.response}"),
                "if_false": value("fine", "fine"),
            },
        ],
    }
    begun = await begin(demo, {"type": "parallel", "name": "both", "steps": [each, ask("beside")]})
    failed = await ended(demo, begun)
    assert (failed["status"], failed["error"]["step"]) == ("failed", "both/each[1]/odd/shaky")
    agent.broken = False
    await tell(demo, begun, "retry")
    done = await ended(demo, begun)
    assert done["status"] == "completed", done["error"]
    results = [given["result"] for given in done["output_data"]["each"]]
    assert results[0] == results[2] == "fine"
    assert results[1]["response"] == "fail say 1"
    asked = agent.asked(begun)
    assert [path for path in asked if path.endswith("first")] == [f"both/each[{index}]/first" for index in range(3)]
    assert asked.count("both/each[1]/odd/shaky") == 2


async def test_retry_of_what_was_cancelled(demo: httpx2.AsyncClient, agent: Agent) -> None:
    begun = await begin(demo, ask("a"), ask("slow", "hold"))
    await step(demo, begun, "slow", "scheduled")
    await tell(demo, begun, "cancel")
    agent.release("slow")
    await tell(demo, begun, "retry")
    assert (await ended(demo, begun))["status"] == "completed"
    assert agent.asked(begun) == ["a", "slow", "slow"]


async def test_what_was_undone_is_not_retried(demo: httpx2.AsyncClient, agent: Agent) -> None:
    begun = await begin(demo, ask("a", compensate=ask("undo")), ask("b", "fail"))
    assert (await ended(demo, begun))["status"] == "failed"
    assert await refused(demo, begun, "retry") == (409, "execution_not_retryable")


async def test_fork_with_another_input(demo: httpx2.AsyncClient, agent: Agent) -> None:
    steps = [ask("a", context="{input.n}"), ask("b", context="{a.response}, then {input.n}"), ask("c")]
    begun = await begin(demo, *steps, input_={"n": 1})
    await ended(demo, begun)
    key = {"Idempotency-Key": str(uuid4())}
    forked = await tell(demo, begun, "fork", {"from_step": "b", "input_data": {"n": 2}}, **key)
    assert (await tell(demo, begun, "fork", {"from_step": "b", "input_data": {"n": 2}}, **key))["id"] == forked["id"]
    done = await ended(demo, forked["id"])
    assert (done["status"], done["input_data"]) == ("completed", {"n": 2})
    assert step_of(done, "b")["output_data"]["response"] == "say say 1, then 2"  # type: ignore[index]
    assert agent.asked(done["id"]) == ["b", "c"]
    recorded = await events(demo, done["id"])
    assert recorded[0]["data"]["forked_from"] == {"execution_id": begun, "path": "b"}
    copied = [event["data"] for event in recorded if event["data"].get("copied")]
    assert [event["path"] for event in copied] == ["a"]
    assert agent.asked(begun) == ["a", "b", "c"]


async def test_fork_onto_another_revision(demo: httpx2.AsyncClient, agent: Agent) -> None:
    workflow = await active(demo, {"steps": [ask("a"), ask("b", "fail")]})
    begun = await start(demo, workflow)
    assert (await ended(demo, begun))["status"] == "failed"
    mended = {"steps": [ask("a"), ask("b", "mended", "{a.response}"), ask("c")]}
    revised = await demo.patch(f"{WORKFLOWS}/{workflow}", json=mended)
    assert revised.is_success, revised.text
    other = await active(demo, mended)
    for body, workflow_id, revision in [({"revision": 2}, workflow, 2), ({"workflow_id": other}, other, 1)]:
        forked = await tell(demo, begun, "fork", {"from_step": "b", **body})
        done = await ended(demo, forked["id"])
        assert (done["status"], done["workflow_id"], done["workflow_revision"]) == ("completed", workflow_id, revision)
        assert step_of(done, "b")["output_data"]["response"] == "mended say"  # type: ignore[index]
        assert agent.asked(done["id"]) == ["b", "c"]
    same = await tell(demo, begun, "fork", {"from_step": "b"})
    assert (await ended(demo, same["id"]))["status"] == "failed"


async def test_fork_from_a_step_that_was_never_there(demo: httpx2.AsyncClient, agent: Agent) -> None:
    begun = await begin(demo, ask("a"))
    await ended(demo, begun)
    assert await refused(demo, begun, "fork", {"from_step": "b"}) == (422, "fork_point_unknown")


@pytest.mark.parametrize("control", ["pause", "resume", "signals/go"])
async def test_what_has_ended_is_told_nothing(demo: httpx2.AsyncClient, control: str) -> None:
    begun = await begin(demo, value("a", 1))
    await ended(demo, begun)
    recorded = await events(demo, begun)
    assert await refused(demo, begun, control) == (409, "execution_ended")
    assert await events(demo, begun) == recorded


async def test_what_runs_is_not_retried(demo: httpx2.AsyncClient, agent: Agent) -> None:
    begun = await begin(demo, ask("slow", "hold"))
    await step(demo, begun, "slow", "scheduled")
    assert await refused(demo, begun, "retry") == (409, "execution_not_retryable")
    await tell(demo, begun, "terminate")


@pytest.mark.parametrize("control", CONTROLS)
async def test_another_tenants_execution_is_not_there(
    demo: httpx2.AsyncClient, stranger: httpx2.AsyncClient, agent: Agent, control: str
) -> None:
    begun = await begin(demo, ask("slow", "hold"))
    await step(demo, begun, "slow", "scheduled")
    before = await events(demo, begun)
    body = {"from_step": "slow"} if control == "fork" else None
    assert await refused(stranger, begun, control, body) == (404, "execution_not_found")
    assert await refused(stranger, str(uuid4()), control, body) == (404, "execution_not_found")
    assert await events(demo, begun) == before
    await tell(demo, begun, "terminate")


async def test_a_control_says_what_is_wrong_with_it(demo: httpx2.AsyncClient) -> None:
    begun = await begin(demo, {"type": "delay", "name": "while", "seconds": 60})
    deep: Any = 1
    for _ in range(150):
        deep = [deep]
    for control, body in [
        ("cancel", {"reason": 5}),
        ("cancel", {"why": "x"}),
        ("pause", {"reason": "x" * 2_000}),
        ("signals/go", {"data": 1, "more": 2}),
        ("signals/go", {"data": deep}),
        ("signals/go", {"data": "a\u0000b"}),
        (f"signals/{'x' * 256}", {}),
        ("fork", {}),
        ("fork", {"from_step": ""}),
    ]:
        assert await refused(demo, begun, control, body) == (400, "invalid_input"), (control, body)
    long_key = await demo.post(f"{EXECUTIONS}/{begun}/signals/go", json={}, headers={"Idempotency-Key": "k" * 256})
    assert (long_key.status_code, long_key.json()["code"]) == (400, "invalid_input")
    assert (await status(demo, begun, "waiting"))["version"] == 2
    missing = await demo.post(f"{EXECUTIONS}/{begun}/dance", json={})
    assert missing.status_code == 404
    await tell(demo, begun, "terminate")
    assert (await demo.get(f"{WORKFLOWS}/executions/{begun}")).json()["status"] == "cancelled"


async def _pass(seconds: float) -> None:
    """Let time pass: what is looked at is that nothing happens in it."""
    await asyncio.sleep(seconds)
