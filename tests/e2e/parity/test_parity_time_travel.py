"""The state of an execution as of each of its events."""

from typing import Any

import httpx2
import pytest

from tests.e2e.parity.conftest import Agent
from tests.e2e.parity.told import EXECUTIONS, ask, begin, ended, events, step, tell, value
from tests.e2e.test_main_job import short

pytestmark = pytest.mark.asyncio(loop_scope="session")

STEPS = [
    ask("a", context="{input.n}", compensate=value("undo_a", "{a.response}")),
    {"type": "foreach", "name": "each", "items": [1, 2], "steps": [ask("b", context="{item}")]},
    {"type": "wait_for_event", "name": "go", "event": "go"},
    ask("c", "fail", on_error=value("instead", "{go}")),
    ask("last", "hold"),
]


async def test_the_state_at_each_version_is_the_fold_of_the_events_up_to_it(
    demo: httpx2.AsyncClient, agent: Agent
) -> None:
    begun = await begin(demo, *STEPS, input_={"n": 7})
    await step(demo, begun, "go", "waiting")
    await tell(demo, begun, "pause")
    await tell(demo, begun, "signals/go", {"data": {"x": 1}})
    await tell(demo, begun, "resume")
    await step(demo, begun, "last", "scheduled")
    await tell(demo, begun, "cancel", {"reason": "seen enough"})
    done = await ended(demo, begun)
    recorded = await events(demo, begun)
    assert done["version"] == len(recorded)
    seen = Seen()
    for event in recorded:
        seen.see(short(event["type"]), event["data"])
        shown = await at(demo, begun, event["version"])
        assert shown["execution"]["version"] == event["version"]
        assert {found["step_path"]: found["status"] for found in shown["execution"]["steps"]} == seen.steps, event
        outputs = {
            f["step_path"]: f["output_data"] for f in shown["execution"]["steps"] if f["output_data"] is not None
        }
        assert outputs == seen.outputs, event
        assert (shown["execution"]["status"] == "paused") is seen.paused, event
        assert shown["scope"]["input"] == {"n": 7}
    assert (await at(demo, begun, len(recorded)))["execution"] == done
    assert (await demo.get(f"{EXECUTIONS}/{begun}/state")).json()["execution"] == done
    beyond = await demo.get(f"{EXECUTIONS}/{begun}/state", params={"at_version": len(recorded) + 100})
    assert beyond.json()["execution"] == done
    assert (await demo.get(f"{EXECUTIONS}/{begun}/state", params={"at_version": 0})).status_code == 400


async def at(client: httpx2.AsyncClient, execution_id: str, version: int) -> Any:
    answer = await client.get(f"{EXECUTIONS}/{execution_id}/state", params={"at_version": version})
    assert answer.status_code == 200, answer.text
    return answer.json()


class Seen:
    """What a reader of the history alone makes of it: how each step stands, what it gave, and whether time stands."""

    def __init__(self) -> None:
        self.steps: dict[str, str] = {}
        self.outputs: dict[str, Any] = {}
        self.paused = False

    def see(self, happened: str, data: dict[str, Any]) -> None:
        if happened in {"execution-paused", "execution-resumed"}:
            self.paused = happened == "execution-paused"
        path = data.get("path")
        if path is None:
            return
        match happened:
            case "step-scheduled":
                self.steps[path] = "scheduled"
            case "step-started":
                self.steps[path] = "waiting" if data.get("due") else "running"
            case "step-waiting":
                self.steps[path] = "waiting"
            case "step-completed":
                self.steps[path] = "completed"
                self.outputs[path] = data["output"]
            case "step-failed" | "step-skipped" | "step-cancelled":
                self.steps[path] = happened.removeprefix("step-")
