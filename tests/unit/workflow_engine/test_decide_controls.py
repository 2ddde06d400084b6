"""Pause, resume, retry and fork."""

import pytest

from services.workflow.domain import commands as c
from services.workflow.domain.decide import decide
from services.workflow.domain.events import Origin, StepCompleted, StepScheduled
from services.workflow.domain.refusals import ExecutionEnded, NotRetryable
from services.workflow.domain.state import ExecutionState
from services.workflow.domain.walk import Recorded
from tests.unit.workflow_engine.scenario import (
    BEGIN,
    EXECUTION,
    TENANT,
    WORKFLOW,
    conditional,
    delay,
    folded,
    foreach,
    given,
    loop,
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


def test_retry_goes_on_from_the_step_that_failed_with_a_new_attempt() -> None:
    run = given(tool("a"), tool("b"), tool("end"))
    run.done("a", 1).failed("b", retryable=False).retry()
    assert run.story == ["execution-retried", "scheduled b 2"]
    run.done("b", 2, attempt=2).done("end", 3)
    assert run.output == 3


def test_a_retry_has_all_automatic_attempts_again() -> None:
    run = given(tool("a", max_retries=1))
    run.failed("a").at(9_000).wake().failed("a", attempt=2)
    assert run.story[-1] == "execution-failed"
    run.retry().failed("a", attempt=3)
    assert run.story == ["failed a tool_error retry"]


def test_retry_inside_holders_keeps_what_was_done() -> None:
    run = given(
        conditional("c", "$.input.x", transform("no"), parallel("p", tool("a"), tool("b"), tool("d"))), tool("end")
    )
    run.done("c/p/a", 1).failed("c/p/b", retryable=False)
    assert run.story[-1] == "execution-failed"
    run.retry()
    assert run.story == ["execution-retried", "scheduled c/p/b 2", "scheduled c/p/d 2"]
    run.done("c/p/d", 4, attempt=2).done("c/p/b", 2, attempt=2)
    assert run.story[-1] == "scheduled end 1"
    assert run.state.scope["p"] == {"a": 1, "step_0": 1, "b": 2, "step_1": 2, "d": 4, "step_2": 4}
    assert plain(folded(run.events)) == plain(run.state)


def test_retry_inside_a_foreach() -> None:
    run = given(foreach("each", [1, 2, 3, 4], tool("t", {"x": "{item}"}), max_concurrency=2))
    run.done("each[0]/t", "a").failed("each[1]/t", retryable=False)
    assert run.story[-1] == "execution-failed"
    run.retry()
    assert run.story == ["execution-retried", "scheduled each[1]/t 2", "scheduled each[2]/t 2"]
    run.done("each[1]/t", "b", attempt=2).done("each[2]/t", "c", attempt=2).done("each[3]/t", "d")
    assert run.output == ["a", "b", "c", "d"]


def test_retry_inside_a_loop_and_after_its_time() -> None:
    run = given(loop("l", "$.t > 1", tool("t")), timeout_seconds=10)
    run.done("l[0]/t", 1).at(10_000).wake()
    assert run.error.code == "timeout"
    run.retry()
    assert run.story == ["execution-retried", "scheduled l[1]/t 2"]
    run.at(12_000).done("l[1]/t", 2, attempt=2)
    assert run.output["iterations"] == 2


def test_retry_of_what_was_handled_in_vain_begins_with_the_step_itself() -> None:
    run = given(tool("a", on_error=[tool("h")]))
    run.failed("a", retryable=False).failed("a/h", retryable=False).retry()
    assert run.story == ["execution-retried", "scheduled a 2"]
    run.failed("a", retryable=False, attempt=2)
    assert run.story == ["failed a tool_error handled", "scheduled a/h 2"]


def test_what_cannot_be_retried() -> None:
    run = given(tool("a"))
    with pytest.raises(NotRetryable):
        run.retry()
    run.done("a")
    with pytest.raises(NotRetryable):
        run.retry()
    undone = given(tool("a", compensate=transform("u")), tool("b")).done("a").failed("b", retryable=False)
    assert undone.story[-1] == "execution-failed"
    with pytest.raises(NotRetryable):
        undone.retry()


def test_an_execution_whose_output_could_not_be_made_tries_that_again() -> None:
    run = given(tool("a"), output="{a.missing}").done("a", {})
    assert run.error.code == "template_unresolved"
    assert run.retry().story == ["execution-retried", "execution-failed"]


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
