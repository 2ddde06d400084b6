"""`workflow` steps: executions that run others."""

from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.e2e.parity.conftest import Agent
from tests.e2e.parity.told import EXECUTIONS, ask, begin, ended, events, run, start, statuses, step, tell, until, value
from tests.e2e.test_main_job import WORKFLOWS, active, execution, short

pytestmark = pytest.mark.asyncio(loop_scope="session")


def child(workflow: str, input_: Any = None, **fields: Any) -> dict[str, Any]:
    return {
        "type": "workflow",
        "name": "child",
        "workflow": workflow,
        "input": input_ or {},
        "max_retries": 0,
        **fields,
    }


async def of(client: httpx2.AsyncClient, workflow_id: str, count: int = 1) -> list[str]:
    """Return the ids of a workflow's executions once there are so many."""

    async def found() -> list[str]:
        answer = await client.get(EXECUTIONS, params={"workflow_id": workflow_id})
        return [row["id"] for row in answer.json()["executions"]]

    async def enough() -> list[str] | None:
        ids = await found()
        return ids if len(ids) >= count else None

    ids: list[str] = await until(enough)
    return ids


async def test_a_child_has_a_history_of_its_own(demo: httpx2.AsyncClient, agent: Agent) -> None:
    workflow = await active(demo, {"steps": [ask("work", context="{input.n}"), value("out", {"n": "{input.n}"})]})
    slug = (await demo.get(f"{WORKFLOWS}/{workflow}")).json()["slug"]
    done = await run(demo, child(slug, {"n": "{input.n}"}), value("after", "{child.n}"), input_={"n": 7})
    assert (done["status"], done["output_data"]) == ("completed", 7)
    [own] = await of(demo, workflow)
    assert own != done["id"]
    theirs = await execution(demo, own)
    assert (theirs["status"], theirs["input_data"], theirs["output_data"]) == ("completed", {"n": 7}, {"n": 7})
    begun = (await events(demo, own))[0]["data"]
    assert begun["parent"] == {"execution_id": done["id"], "path": "child", "attempt": 1, "depth": 1}
    assert begun["trigger"] == "workflow"
    assert "work" not in statuses(done)


async def test_a_child_that_fails(demo: httpx2.AsyncClient, agent: Agent) -> None:
    workflow = await active(demo, {"steps": [ask("work", "fail")]})
    done = await run(demo, child(workflow))
    [own] = await of(demo, workflow)
    assert (done["status"], done["error"]["code"]) == ("failed", "child_failed")
    assert done["error"]["details"]["execution_id"] == own
    assert done["error"]["details"]["error"]["code"] == "agent_failed"
    again = await run(
        demo,
        child(
            workflow,
            max_retries=None,
            retry={"max_attempts": 2, "initial_interval_ms": 10, "retry_on": ["child_failed"]},
        ),
    )
    assert again["status"] == "failed"
    assert len(await of(demo, workflow, 3)) == 3  # each attempt is a child of its own


async def test_what_cannot_be_begun_fails_the_step(demo: httpx2.AsyncClient) -> None:
    assert (await run(demo, child("no-such-workflow")))["error"]["code"] == "workflow_not_found"
    schema = {"type": "object", "required": ["n"]}
    workflow = await active(demo, {"steps": [value("a", 1)], "input_schema": schema})
    assert (await run(demo, child(workflow)))["error"]["code"] == "input_invalid"


async def test_a_child_is_cancelled_with_its_parent(demo: httpx2.AsyncClient, agent: Agent) -> None:
    undo = ask("undo_booked")
    inner = await active(demo, {"steps": [ask("booked", compensate=undo), ask("slow", "hold")]})
    middle = await active(demo, {"steps": [child(inner)]})
    begun = await begin(demo, child(middle))
    [grandchild] = await of(demo, inner)
    await step(demo, grandchild, "slow", "scheduled")
    await tell(demo, begun, "cancel")
    assert (await ended(demo, begun))["status"] == "cancelled"
    for workflow in (middle, inner):
        [own] = await of(demo, workflow)
        assert (await ended(demo, own))["status"] == "cancelled"
    assert "booked/undo_booked" in agent.asked(grandchild)


async def test_a_child_that_loses_a_race_is_cancelled(demo: httpx2.AsyncClient, agent: Agent) -> None:
    workflow = await active(demo, {"steps": [ask("slow", "hold")]})
    race = {
        "type": "parallel",
        "name": "race",
        "wait_for": "any",
        "steps": [child(workflow), ask("fast", "hold")],
    }
    begun = await begin(demo, race)
    [own] = await of(demo, workflow)
    agent.release("race/fast")
    assert (await ended(demo, begun))["status"] == "completed"
    assert (await ended(demo, own))["status"] == "cancelled"


async def test_executions_run_one_inside_another_only_so_deep(demo: httpx2.AsyncClient) -> None:
    """A workflow that runs itself, with no end of its own."""
    slug = f"itself-{uuid4().hex[:8]}"
    workflow = await active(demo, {"slug": slug, "steps": [child(slug)]})
    done = await ended(demo, await start(demo, workflow))
    assert done["status"] == "failed"
    error, depth = done["error"], 0
    while error["code"] == "child_failed":
        error, depth = error["details"]["error"], depth + 1
    assert (error["code"], depth) == ("child_too_deep", 16)
    assert len(await of(demo, workflow, 17)) == 17
    assert "execution-failed" in {short(event["type"]) for event in await events(demo, done["id"])}
