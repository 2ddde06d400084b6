"""Pause, resume, terminate and fork."""

import pytest

from services.workflow.domain import commands as c
from services.workflow.domain.decide import abandon, decide
from services.workflow.domain.events import ExecutionCancelled, Origin, StepCancelled, StepCompleted, StepScheduled
from services.workflow.domain.refusals import ExecutionEnded, ExecutionIsEnding
from services.workflow.domain.state import ExecutionState
from services.workflow.domain.walk import Recorded
from services.workflow.limits import MAX_DECISION_EVENTS, TASK_GRACE_MS
from tests.unit.workflow_engine.scenario import (
    BEGIN,
    EXECUTION,
    TENANT,
    WORKFLOW,
    delay,
    folded,
    foreach,
    given,
    parallel,
    plain,
    program_of,
    tool,
    transform,
    wait,
)


def test_a_pause_begins_nothing_and_keeps_what_came() -> None:
    run = given(parallel("p", tool("a"), tool("b")), tool("end"))
    assert run.pause().story == ["execution-paused"]
    assert run.state.status == "paused"
    assert run.done("p/a", 1).story == ["result-held p/a"]
    assert run.done("p/a", 1).story == []
    assert run.failed("p/b", retryable=False).story == ["result-held p/b"]
    assert run.pause().story == []
    run.resume()
    assert run.story == [
        "execution-resumed", "completed p/a", "failed p/b tool_error", "failed p tool_error", "execution-failed",
    ]  # fmt: skip


def test_time_stands_still_during_a_pause() -> None:
    run = given(parallel("p", delay("d", 10), wait("w", timeout_seconds=20)), timeout_seconds=30)
    run.at(5_000).pause()
    assert run.at(100_000).wake().story == []
    run.at(105_000).resume()
    assert run.at(109_999).wake().story == []
    assert run.at(110_000).wake().story == ["completed p/d"]
    assert run.at(119_999).wake().story == []
    assert run.at(120_000).wake().story[0] == "waited p/w timed_out"


def test_signals_of_a_pause_count_after_it() -> None:
    run = given(wait("w")).pause()
    assert run.signal(data=3).story == ["signal-received"]
    run.resume()
    assert run.output == 3


def test_a_paused_execution_can_be_cancelled() -> None:
    run = given(tool("a"), tool("b")).pause().done("a")
    assert run.cancel().story == ["cancelled a", "execution-cancelled"]
    for told in (run.pause, run.resume):
        with pytest.raises(ExecutionEnded):
            told()


def test_what_is_stored_of_a_pause_folds_to_what_was_decided() -> None:
    run = given(parallel("p", tool("a"), delay("d", 1)), tool("b")).pause().done("p/a", 1)
    assert plain(folded(run.events)) == plain(run.state)
    run.resume()
    assert plain(folded(run.events)) == plain(run.state)


def test_undoing_is_not_paused_and_ends_at_once_when_terminated() -> None:
    run = given(tool("a", compensate=tool("u")), tool("b"), tool("c", compensate=tool("v")), tool("d"))
    run.done("a").done("b").done("c").failed("d", retryable=False)
    assert run.story == ["failed d tool_error", "compensation-started", "scheduled c/v 1"]
    with pytest.raises(ExecutionIsEnding):
        run.pause()
    assert run.terminate().story == ["cancelled c/v", "execution-failed"]
    assert run.error.code == "tool_error"
    assert run.error.details["not_compensated"] == ["c", "a"]


def test_what_loses_its_program_while_it_is_undone_says_what_was_not() -> None:
    run = given(tool("a", compensate=tool("u")), tool("b")).done("a").cancel()
    ends = abandon(run.state, BEGIN, c.StepError("definition_unreadable", "It cannot be read."))
    assert [type(end) for end in ends] == [StepCancelled, ExecutionCancelled]
    assert ends[-1].error.details == {"not_compensated": ["a"]}  # type: ignore[attr-defined]


def test_what_a_worker_has_is_not_over_time_because_of_a_pause() -> None:
    run = given(tool("a", timeout_seconds=10)).at(5_000).pause().at(60_000).resume()
    assert run.at(64_999 + TASK_GRACE_MS).wake().story == []
    assert run.at(65_000 + TASK_GRACE_MS).wake().story == ["failed a step_timeout", "execution-failed"]


def test_a_fork_takes_over_what_is_recorded() -> None:
    program = program_of(
        [
            tool("a"),
            tool("b", on_error=[transform("h", "saved")]),
            parallel("p", tool("x"), tool("y"), wait_for="any"),
            tool("end", {"a": "{a}", "b": "{b}", "y": "{y | default('-')}"}),
        ]
    )
    state = ExecutionState(EXECUTION, TENANT)
    recorded = {"a": Recorded(1), "b": Recorded(error=c.StepError("tool_error", "It broke.")), "p/y": Recorded(3)}
    events = decide(
        state, program,
        c.Start(BEGIN, WORKFLOW, 2, {}, {}, forked_from=Origin(EXECUTION, "end"), recorded=recorded),
    )  # fmt: skip
    assert [e.path for e in events if isinstance(e, StepCompleted) and e.copied] == ["a", "p/y"]
    assert [e.path for e in events if isinstance(e, StepScheduled) and e.path in state.open_tasks] == ["end"]
    assert state.steps["end"].input["arguments"] == {"a": 1, "b": "saved", "y": 3}


def test_a_fork_undoes_what_it_did_itself_and_no_more() -> None:
    program = program_of(
        [
            tool("a", compensate=tool("u")),
            parallel("p", tool("x"), compensate=tool("v")),
            tool("b", compensate=tool("w")),
            tool("end"),
        ]
    )
    state = ExecutionState(EXECUTION, TENANT)
    start = c.Start(BEGIN, WORKFLOW, 2, {}, {}, recorded={"a": Recorded(1), "p/x": Recorded(2)})
    decide(state, program, start)
    decide(state, program, c.CompleteTask(BEGIN, "b", 1, 3))
    decide(state, program, c.Cancel(BEGIN, ""))
    assert state.undoing is not None
    assert state.undoing.steps == ["b"]


def test_a_fork_takes_over_more_than_one_decision_makes() -> None:
    items = list(range(MAX_DECISION_EVENTS))
    program = program_of([foreach("each", items, tool("t"), max_concurrency=10), tool("end")])
    state = ExecutionState(EXECUTION, TENANT)
    recorded = {f"each[{index}]/t": Recorded(index) for index in items}
    decide(state, program, c.Start(BEGIN, WORKFLOW, 2, {}, {}, recorded=recorded))
    assert state.steps["each"].output == items
    assert list(state.open_tasks) == ["end"]


def test_a_fork_takes_over_who_came_first() -> None:
    program = program_of([parallel("p", tool("x"), tool("y"), wait_for="any"), tool("end")])
    state = ExecutionState(EXECUTION, TENANT)
    recorded = {"p/x": Recorded("late", closed=9), "p/y": Recorded("first", closed=5)}
    decide(state, program, c.Start(BEGIN, WORKFLOW, 2, {}, {}, recorded=recorded))
    assert state.scope["p"]["y"] == "first"
    assert "p/x" not in state.steps
