"""Steps that hold others: `parallel`, `conditional`, `foreach` and `loop`, one inside another."""

import asyncio
from typing import Any

import httpx2
import pytest

from tests.e2e.parity.conftest import Agent
from tests.e2e.parity.told import ask, begin, ended, events, run, status, statuses, step, until, value
from tests.e2e.parity.worker import Task

pytestmark = pytest.mark.asyncio(loop_scope="session")


def parallel(*steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "parallel", "name": "together", "steps": list(steps), **fields}


async def test_parallel_waits_for_all(demo: httpx2.AsyncClient, agent: Agent) -> None:
    begun = await begin(demo, parallel(ask("a", "hold"), ask("b", "hold"), ask("c")))
    await step(demo, begun, "together/c", "completed")
    assert sorted(agent.asked(begun)) == ["together/a", "together/b", "together/c"]
    agent.release("together/b")
    await step(demo, begun, "together/b", "completed")
    assert (await status(demo, begun, "running"))["output_data"] is None
    agent.release("together/a")
    done = await ended(demo, begun)
    assert sorted(done["output_data"]) == ["a", "b", "c", "step_0", "step_1", "step_2"]
    assert done["output_data"]["a"] == done["output_data"]["step_0"]


@pytest.mark.parametrize(("wait_for", "winners"), [("any", ["b"]), ("count:2", ["b", "d"])])
async def test_parallel_cancels_who_comes_too_late(
    demo: httpx2.AsyncClient, agent: Agent, wait_for: str, winners: list[str]
) -> None:
    begun = await begin(demo, parallel(*(ask(name, "hold") for name in "abcd"), wait_for=wait_for), value("after", 1))
    await until(lambda: _asked(agent, begun, 4))
    for name in winners:
        agent.release(f"together/{name}")
    done = await ended(demo, begun)
    together = next(found for found in done["steps"] if found["step_path"] == "together")
    assert (done["status"], done["output_data"]) == ("completed", 1)
    assert {name for name in together["output_data"] if not name.startswith("step_")} == set(winners)
    losers = {f"together/{name}" for name in "abcd" if name not in winners}
    assert {path for path, at in statuses(done).items() if at == "cancelled"} == losers
    recorded = await events(demo, begun)
    for path in losers:
        agent.release(path)  # what comes after the end is not recorded
    await asyncio.sleep(1)
    assert await events(demo, begun) == recorded


@pytest.mark.parametrize(("n", "taken"), [(11, "if_true"), (10, "if_false")])
async def test_conditional_takes_one_branch(demo: httpx2.AsyncClient, n: int, taken: str) -> None:
    check = {
        "type": "conditional",
        "name": "check",
        "condition": "$.input.n > 10",
        "if_true": [value("large", "large"), value("larger", "{large}r")],
        "if_false": value("small", "small"),
    }
    done = await run(
        demo, check, value("seen", "{larger | default('none')} {small | default('none')}"), input_={"n": n}
    )
    branch = next(found for found in done["steps"] if found["step_path"] == "check")["output_data"]
    result = "larger" if n > 10 else "small"
    assert branch == {"condition_result": n > 10, "branch_taken": taken, "result": result}
    assert done["output_data"] == ("larger none" if n > 10 else "none small")


@pytest.mark.parametrize(
    ("given", "taken", "result"),
    [
        ("red", "red", "stop"),
        (1, "1", "one"),
        (True, "true", "yes"),
        ("blue", "default", "what is it"),
        (None, "default", "what is it"),
    ],
)
async def test_conditional_switches(demo: httpx2.AsyncClient, given: Any, taken: str, result: str) -> None:
    branches = {"red": value("stop", "stop"), "1": [value("one", "one")], "true": value("yes", "yes")}
    switch = {
        "type": "conditional",
        "name": "which",
        "switch": "{input.it}",
        "branches": branches,
        "default": value("what", "what is it"),
    }
    done = await run(demo, switch, input_={"it": given})
    assert done["output_data"] == {"condition_result": given, "branch_taken": taken, "result": result}


async def test_foreach_keeps_the_order_and_its_bound(demo: httpx2.AsyncClient, agent: Agent) -> None:
    async def slower_first(task: Task) -> Any:
        await asyncio.sleep(0.02 * (10 - task["payload"]["input"]["context"]["n"] % 10))
        return {"response": task["payload"]["input"]["context"], "agent_id": "tester", "usage": {}}

    agent.answer = slower_first
    each = {
        "type": "foreach",
        "name": "each",
        "items": "{input.numbers}",
        "as": "number",
        "max_concurrency": 4,
        "steps": [
            ask("work", context={"n": "{number}", "at": "{number_index}"}),
            value("square", {"n": "{work.response.n}", "at": "{work.response.at}"}),
        ],
    }
    done = await run(demo, each, input_={"numbers": list(range(40))})
    assert done["output_data"] == [{"n": n, "at": n} for n in range(40)]
    assert agent.at_once[done["id"]] == 4


async def test_foreach_of_ten_thousand_items(demo: httpx2.AsyncClient, agent: Agent) -> None:
    """Each item goes to a worker and comes back: 10,000 is what the language promises, so a part of it would not do."""
    each = {
        "type": "foreach",
        "name": "each",
        "items": "{input.numbers}",
        "max_concurrency": 500,
        "steps": [ask("work", context="{item}", output_mapping={"said": "$.response"})],
    }
    begun = await begin(demo, each, input_={"numbers": list(range(10_000))}, output="{each | length}")
    async with asyncio.timeout(240):
        while (await demo.get(f"/workflows/workflows/executions/{begun}/status")).json()["status"] == "running":
            await asyncio.sleep(0.2)
    assert len(agent.asked(begun)) == 10_000
    assert agent.at_once[begun] <= 500
    answer = await demo.get(f"/workflows/workflows/executions/{begun}")
    done = answer.json()
    assert (done["status"], done["output_data"]) == ("completed", 10_000)
    each_ = next(found for found in done["steps"] if found["step_path"] == "each")
    assert each_["output_data"] == [{"said": f"say {n}"} for n in range(10_000)]


async def test_loop_until_its_condition_holds(demo: httpx2.AsyncClient, agent: Agent) -> None:
    async def better(task: Task) -> Any:
        score = task["payload"]["input"]["context"]["index"] * 3
        return {"response": f'{{"score": {score}}}', "agent_id": "tester", "usage": {}}

    agent.answer = better
    loop = {
        "type": "loop",
        "name": "refine",
        "condition": "$.draft.score >= 6",
        "max_iterations": 10,
        "steps": [
            ask("draft", context={"index": "{iteration.index}", "before": "{iteration.previous | default('none')}"}),
            value("kept", "{draft.score}"),
        ],
    }
    done = await run(demo, loop)
    assert done["output_data"] == {"iterations": 3, "condition_met": True, "result": 6}
    assert [payload["input"]["context"] for payload in agent.payloads(done["id"])] == [
        {"index": 0, "before": "none"},
        {"index": 1, "before": 0},
        {"index": 2, "before": 3},
    ]
    bounded = await run(demo, loop | {"max_iterations": 2})
    assert bounded["output_data"] == {"iterations": 2, "condition_met": False, "result": 3}


def _inside(depth: int) -> dict[str, Any]:
    """Return `depth` steps one inside another, of every kind that holds others."""
    if depth == 1:
        return ask("deepest", context="{item_1}")
    inner = _inside(depth - 1)
    name = f"level_{depth}"
    kinds: list[dict[str, Any]] = [
        {"type": "parallel", "steps": [inner]},
        {"type": "conditional", "condition": "$.input.go == true", "if_true": inner},
        {"type": "foreach", "items": [1, 2] if depth == 2 else [1], "as": f"item_{depth // 2}", "steps": [inner]},
        {"type": "loop", "condition": "1 == 1", "as": f"turn_{depth}", "steps": [inner]},
        {"type": "conditional", "switch": "{input.go}", "branches": {"true": inner}},
        {
            "type": "wait_for_event",
            "event": "never",
            "timeout_seconds": 0.01,
            "on_timeout": inner,
        },
        {"type": "transform", "input": "{input.nothing}", "on_error": inner},
    ]
    if depth == 2:
        return {"name": name, **kinds[2]}
    kind = kinds[depth % 7]
    return {"name": name, **kind}


async def test_all_that_holds_others_nests_sixteen_deep(demo: httpx2.AsyncClient, agent: Agent) -> None:
    done = await run(demo, _inside(16), input_={"go": True})
    assert (done["status"], done["error"]) == ("completed", None)
    [first, second] = agent.asked(done["id"])
    assert first.endswith("level_2[0]/deepest")
    assert second.endswith("level_2[1]/deepest")
    assert [payload["input"]["context"] for payload in agent.payloads(done["id"])] == [1, 2]
    assert set(statuses(done).values()) == {"completed"}
    stored = await demo.post(
        "/workflows/workflows", json={"name": "Too deep", "steps": [_inside(17)], "input_schema": {"type": "object"}}
    )
    assert stored.status_code == 422
    assert {error["code"] for error in stored.json()["errors"]} == {"nesting_too_deep"}


async def _asked(agent: Agent, execution: str, count: int) -> bool:
    return len(agent.asked(execution)) == count
