"""Workers that die, repeat themselves, say nonsense or too much."""

import asyncio
import json
from typing import Any

import httpx2
import pytest
from nats.aio.client import Client

from tests.e2e.parity.conftest import Agent
from tests.e2e.parity.told import ask, begin, ended, events, run, step, value
from tests.e2e.parity.worker import Task, Worker
from tests.e2e.test_main_job import short

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGENTS = "commands.agent.run-task"


async def answered(_: Task) -> Any:
    return {"response": "here", "agent_id": "tester", "usage": {}}


async def test_a_task_whose_worker_died_is_given_to_another(demo: httpx2.AsyncClient, operator: Client) -> None:
    async def dies(_: Task) -> Any:
        raise asyncio.CancelledError  # it says nothing more, not even that it runs

    first = Worker(operator, AGENTS, "agent", dies)
    await first.start()
    begun = await begin(demo, ask("work"))
    await step(demo, begun, "work", "scheduled")
    async with asyncio.timeout(60):
        while not first.tasks:
            await asyncio.sleep(0.02)
    await first.stop()
    second = Worker(operator, AGENTS, "agent", answered)
    await second.start()
    done = await ended(demo, begun)
    await second.stop()
    assert (done["status"], done["steps"][0]["retry_count"]) == ("completed", 0)
    assert first.tasks[0]["task_id"] == second.tasks[0]["task_id"]


async def test_of_two_answers_the_first_counts(demo: httpx2.AsyncClient, operator: Client) -> None:
    worker = Worker(operator, AGENTS, "agent", answered)

    async def answers_thrice(task: Task) -> Any:
        for _ in range(2):
            await worker._say(task, {"status": "ok", "output": {"response": "first"}})
        return {"response": "last"}

    worker.answer = answers_thrice
    await worker.start()
    done = await run(demo, ask("work"), value("after", "{work.response}"))
    await worker.stop()
    assert done["output_data"] == "first"
    assert [short(event["type"]) for event in await events(demo, done["id"])].count("step-completed") == 2


async def test_a_result_of_another_attempt_or_step_is_dropped(
    demo: httpx2.AsyncClient, agent: Agent, operator: Client
) -> None:
    begun = await begin(demo, ask("slow", "hold"))
    await step(demo, begun, "slow", "scheduled")
    before = await events(demo, begun)
    forged = [
        {"execution_id": begun, "step_path": path, "attempt": attempt, "status": "ok", "output": "forged"}
        for path, attempt in [("slow", 2), ("slow", 0), ("other", 1), ("slow/inner", 1), ("", 1), ("slow[0]/x", 1)]
    ]
    await operator.publish("results.3", json.dumps(forged).encode())
    for nonsense in (b"", b"{}", b"[1]", b"[" * 10_000, b'[{"execution_id": "x"}]', b"\xff"):
        await operator.publish("results.3", nonsense)
    await operator.flush()
    await asyncio.sleep(1)
    assert await events(demo, begun) == before
    agent.release("slow")
    assert (await ended(demo, begun))["output_data"]["response"] == "hold"


async def test_a_result_that_is_too_large_fails_the_step(demo: httpx2.AsyncClient, agent: Agent) -> None:
    async def too_much(_: Task) -> Any:
        return {"response": "x" * 1_100_000}

    agent.answer = too_much
    done = await run(demo, ask("work"))
    assert (done["status"], done["error"]["code"]) == ("failed", "result_too_large")


async def test_a_failure_without_a_reason_is_one(demo: httpx2.AsyncClient, operator: Client) -> None:
    worker = Worker(operator, AGENTS, "agent", answered)

    async def says_nothing(task: Task) -> Any:
        await worker._say(task, {"status": "error"})
        await asyncio.sleep(60)

    worker.answer = says_nothing
    await worker.start()
    done = await run(demo, ask("work"))
    await worker.stop()
    assert (done["status"], done["error"]["code"]) == ("failed", "worker_failed")


@pytest.mark.parametrize("levels", [201, 500])
async def test_a_result_that_is_too_deep_fails_the_step(demo: httpx2.AsyncClient, agent: Agent, levels: int) -> None:
    async def deep(_: Task) -> Any:
        value_: Any = 1
        for _ in range(levels):
            value_ = [value_]
        return value_

    agent.answer = deep
    done = await run(demo, ask("work"))
    assert (done["status"], done["error"]["code"]) == ("failed", "nesting_too_deep")
