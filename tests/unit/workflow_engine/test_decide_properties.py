"""What holds for every definition and whatever it is told, in any order."""

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.workflow.domain import commands as c
from services.workflow.domain.events import (
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepSkipped,
)
from services.workflow.domain.step_error import StepError
from tests.unit.workflow_engine.scenario import (
    BEGIN,
    WORKFLOW,
    Scenario,
    conditional,
    delay,
    folded,
    parallel,
    plain,
    program_of,
    tool,
    transform,
)

ENDS = (ExecutionCompleted, ExecutionFailed, ExecutionCancelled)


@st.composite
def steps(draw: st.DrawFn, depth: int = 2) -> dict[str, Any]:
    kinds = ["tool", "tool", "transform", "delay"] + (["parallel", "conditional"] if depth else [])
    fields: dict[str, Any] = {"on_error": draw(st.sampled_from(["fail", "continue"]))}
    if draw(st.booleans()):
        fields["when"] = draw(st.sampled_from(["$.input.yes", "$.input.no"]))
    match draw(st.sampled_from(kinds)):
        case "tool":
            policy = {"max_attempts": draw(st.integers(1, 3)), "initial_interval_ms": 10}
            return tool("?", {"x": draw(st.sampled_from([1, "{input.yes}"]))}, retry=policy, **fields)
        case "transform":
            return transform("?", draw(st.sampled_from([1, {"a": "{input.list[5]}"}, "{execution.id}"])), **fields)
        case "delay":
            return delay("?", draw(st.sampled_from([0, 0.02, 5])), **fields)
        case "parallel":
            inner = draw(st.lists(steps(depth - 1), min_size=1, max_size=4))
            waits = st.sampled_from(["all", "any", f"count:{len(inner)}", f"count:{(len(inner) + 1) // 2}"])
            return parallel("?", *inner, wait_for=draw(waits), **fields)
    branch = st.lists(steps(depth - 1), min_size=1, max_size=2)
    return conditional("?", draw(st.sampled_from(["$.input.yes", "$.input.no"])), draw(branch), draw(branch), **fields)


def named(found: list[dict[str, Any]], names: Counter[str]) -> list[dict[str, Any]]:
    """Give every step a name of its own."""
    for step in found:
        names["n"] += 1
        step["name"] = f"s{names['n']}"
        for branch in ("steps", "if_true", "if_false"):
            named(step.get(branch, []), names)
    return found


def told(run: Scenario, data: st.DataObject, now: int) -> c.Command:
    """Draw what may happen: mostly to what is open, sometimes to anything with any attempt."""
    open_ = list(run.state.open_tasks)
    paths = open_ or list(run.state.steps) or ["nowhere"]
    path = data.draw(st.sampled_from(paths if data.draw(st.integers(0, 4)) else [*run.state.steps, "nowhere"]))
    attempt = run.state.steps[path].attempt if path in run.state.steps else 1
    attempt += data.draw(st.sampled_from([0, 0, 0, -1, 1]))
    match data.draw(st.sampled_from(["done"] * 4 + ["failed"] * 2 + ["wake"] * 3 + ["cancel", "start"][: now % 3])):
        case "done":
            return c.CompleteTask(now, path, attempt, data.draw(st.sampled_from([1, {"a": [None]}, "x"])))
        case "failed":
            return c.FailTask(now, path, attempt, StepError("boom", "It broke.", retryable=data.draw(st.booleans())))
        case "wake":
            return c.Wake(now)
        case "cancel":
            return c.Cancel(now, "because")
    return c.Start(now, WORKFLOW, 1, {}, {})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(steps(), min_size=1, max_size=4), st.data())
def test_whatever_happens_history_and_state_agree(found: list[dict[str, Any]], data: st.DataObject) -> None:
    program = program_of(named(found, Counter()), timeout_seconds=20)
    run = Scenario(program, {"yes": 1, "list": []})
    now = BEGIN
    for _ in range(data.draw(st.integers(0, 25))):
        now += data.draw(st.sampled_from([0, 1, 20, 5_000]))
        ended = run.state.ended
        run.tell(told(run, data, now))
        assert not (ended and run.new)
        # Taken from the log again, it is what the decision left.
        assert plain(folded(run.events)) == plain(run.state)
    assert run.state.version == len(run.events)
    assert sum(isinstance(event, ENDS) for event in run.events) == run.state.ended
    assert not run.state.ended or isinstance(run.events[-1], ENDS)

    # Each step ends at most once, each attempt too.
    closing = [
        e.path
        for e in run.events
        if isinstance(e, StepCompleted | StepSkipped | StepCancelled)
        or (isinstance(e, StepFailed) and e.retry_at is None)
    ]
    assert len(closing) == len(set(closing))
    attempts = [(e.path, e.attempt) for e in run.events if isinstance(e, StepCompleted | StepFailed)]
    assert len(attempts) == len(set(attempts))

    # It waits for somebody, or it has ended.
    waits = bool(run.state.open_tasks or run.state.open_timers)
    assert waits is not run.state.ended
    assert not run.state.ended or not run.state.open_holders
    # What is open is held by what is open.
    for path in (*run.state.open_tasks, *run.state.open_timers, *run.state.open_holders):
        holder = path.rpartition("/")[0]
        assert not holder or holder in run.state.open_holders
