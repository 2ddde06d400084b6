"""What every step can have: `when`, `on_error` and `compensate`."""

from typing import Any

import httpx2
import pytest

from tests.e2e.parity.conftest import Agent
from tests.e2e.parity.told import ask, begin, ended, events, run, status, statuses, step, tell, until, value
from tests.e2e.test_main_job import short

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_when(demo: httpx2.AsyncClient, agent: Agent) -> None:
    done = await run(
        demo,
        ask("wanted", when="$.input.n > 1"),
        ask("unwanted", when="$.input.n > 2"),
        value("seen", "{wanted.response} {unwanted.response | default('nothing')}"),
        input_={"n": 2},
    )
    assert statuses(done) == {"wanted": "completed", "unwanted": "skipped", "seen": "completed"}
    assert done["output_data"] == "say nothing"
    assert agent.asked(done["id"]) == ["wanted"]


async def test_on_error_continue(demo: httpx2.AsyncClient, agent: Agent) -> None:
    done = await run(demo, ask("shaky", "fail", on_error="continue"), value("seen", "{shaky.error.code}"))
    assert (done["status"], done["output_data"]) == ("completed", "agent_failed")
    assert statuses(done)["shaky"] == "failed"


async def test_on_error_steps(demo: httpx2.AsyncClient, agent: Agent) -> None:
    instead = [value("why", "{shaky.error.code}"), ask("instead", context="{why}")]
    done = await run(demo, ask("shaky", "fail", on_error=instead), value("seen", "{shaky.response}"))
    assert (done["status"], done["output_data"]) == ("completed", "say agent_failed")
    assert agent.asked(done["id"]) == ["shaky", "shaky/instead"]


async def test_on_error_steps_that_fail(demo: httpx2.AsyncClient, agent: Agent) -> None:
    done = await run(demo, ask("shaky", "fail", on_error=ask("instead", "fail")))
    assert (done["status"], done["error"]["code"], done["error"]["step"]) == ("failed", "agent_failed", "shaky/instead")


def undoable(name: str, **fields: Any) -> dict[str, Any]:
    return ask(name, compensate=ask(f"undo_{name}", context=f"{{{name}.response}}"), **fields)


BOOKING = [
    undoable("flight"),
    {"type": "parallel", "name": "stay", "steps": [undoable("hotel"), undoable("car")]},
    {"type": "foreach", "name": "tours", "items": [1, 2], "max_concurrency": 1, "steps": [undoable("tour")]},
]
UNDONE = ["tours[1]/tour/undo_tour", "tours[0]/tour/undo_tour"]


async def test_what_was_done_is_undone_when_it_fails(demo: httpx2.AsyncClient, agent: Agent) -> None:
    done = await run(demo, *BOOKING, undoable("pay", instruction="fail"))
    assert (done["status"], done["error"]["code"]) == ("failed", "agent_failed")
    undone = _undone(agent, done["id"])
    assert undone[:2] == UNDONE
    assert sorted(undone[2:4]) == ["stay/car/undo_car", "stay/hotel/undo_hotel"]
    assert undone[4:] == ["flight/undo_flight"]
    recorded = await events(demo, done["id"])
    closed = {event["data"]["path"]: event["version"] for event in recorded if short(event["type"]) == "step-completed"}
    begun = [
        event["data"]["path"].rpartition("/")[0]
        for event in recorded
        if short(event["type"]) == "step-scheduled" and "undo_" in event["data"]["path"]
    ]
    assert begun == sorted(begun, key=lambda path: -closed[path])
    payload = next(task["payload"] for task in agent.tasks if task["step_path"] == "flight/undo_flight")
    assert payload["input"]["context"] == "say"


async def test_what_was_done_is_undone_when_it_is_cancelled(demo: httpx2.AsyncClient, agent: Agent) -> None:
    begun = await begin(demo, *BOOKING, undoable("pay", instruction="hold"))
    await step(demo, begun, "pay", "scheduled")
    await tell(demo, begun, "cancel", {"reason": "changed my mind"})
    done = await ended(demo, begun)
    assert (done["status"], done["error"]) == ("cancelled", None)
    assert statuses(done)["pay"] == "cancelled"
    undone = _undone(agent, begun)
    assert undone[:2] == UNDONE
    assert undone[-1] == "flight/undo_flight"
    assert len(undone) == 5


async def test_what_cannot_be_undone_is_said(demo: httpx2.AsyncClient, agent: Agent) -> None:
    first = ask("first", compensate=ask("undo_first"))
    stubborn = ask("stubborn", compensate=ask("undo_stubborn", "fail"))
    begun = await begin(demo, first, stubborn, ask("last", "hold"))
    await step(demo, begun, "last", "scheduled")
    await tell(demo, begun, "cancel")
    done = await ended(demo, begun)
    assert (done["status"], done["error"]["code"]) == ("cancelled", "compensation_failed")
    assert done["error"]["details"] == {"not_compensated": ["stubborn"]}
    assert _undone(agent, begun) == ["stubborn/undo_stubborn", "first/undo_first"]


async def test_terminate_undoes_nothing(demo: httpx2.AsyncClient, agent: Agent) -> None:
    begun = await begin(demo, undoable("flight"), ask("pay", "hold"))
    await step(demo, begun, "pay", "scheduled")
    done = await tell(demo, begun, "terminate", {"reason": "now"})
    assert (done["status"], done["error"]) == ("cancelled", None)
    assert _undone(agent, begun) == []
    assert await status(demo, begun, "cancelled") == done


def _undone(agent: Agent, execution: str) -> list[str]:
    return [path for path in agent.asked(execution) if "/undo_" in path]


async def test_a_whole_execution_takes_only_so_long(demo: httpx2.AsyncClient, agent: Agent) -> None:
    begun = await begin(demo, undoable("flight"), ask("pay", "hold"), timeout_seconds=1.5)
    done = await ended(demo, begun)
    assert (done["status"], done["error"]["code"]) == ("failed", "timeout")
    await until(lambda: _all_undone(agent, begun))


async def _all_undone(agent: Agent, execution: str) -> bool:
    return _undone(agent, execution) == ["flight/undo_flight"]
