"""Retry of an execution that ended: what begins anew, and what stays as it is."""

import pytest

from services.workflow.domain import commands as c
from services.workflow.domain.decide import decide
from services.workflow.domain.events import ExecutionRetried, Parent
from services.workflow.domain.refusals import NotRetryable
from services.workflow.domain.state import ExecutionState
from tests.unit.workflow_engine.scenario import (
    BEGIN,
    EXECUTION,
    TENANT,
    WORKFLOW,
    conditional,
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


def test_what_was_to_come_next_begins_then() -> None:
    run = given(foreach("each", [1, 2, 3], tool("a"), wait("w"), max_concurrency=1), tool("end"))
    run.done("each[0]/a", 1).cancel()
    assert run.retry().story == ["execution-retried", "waiting each[0]/w"]
    run.signal().done("each[1]/a", 2)
    assert run.story == ["completed each[1]/a", "waiting each[1]/w"]
    assert plain(folded(run.events)) == plain(run.state)


def test_what_was_queued_when_it_was_cancelled_begins() -> None:
    state, program = ExecutionState(EXECUTION, TENANT), program_of([tool("a")])
    decide(state, program, c.Start(BEGIN, WORKFLOW, 1, {}, {}, queued=True))
    decide(state, program, c.Cancel(BEGIN, ""))
    decide(state, program, c.Retry(BEGIN))
    assert list(state.open_tasks) == ["a"]


def test_a_holder_that_could_not_end_is_ended_again_and_does_nothing_twice() -> None:
    run = given(conditional("c", "$.input.x", transform("no"), tool("a"), output_mapping={"n": "$.result.n"}))
    run.done("c/a", {})
    assert run.error.code == "mapping_unresolved"
    assert run.retry().story == ["execution-retried", "failed c mapping_unresolved", "execution-failed"]


def test_an_on_error_that_ran_in_vain_may_run_again() -> None:
    run = given(parallel("p", tool("a"), on_error=[foreach("f", [1, 2], tool("h"), max_concurrency=1)]))
    run.failed("p/a", retryable=False).done("p/f[0]/h", 1).failed("p/f[1]/h", retryable=False)
    assert run.story[-1] == "execution-failed"
    run.retry()
    retried = run.new[0]
    assert isinstance(retried, ExecutionRetried)
    assert (retried.again, list(retried.reopened), retried.dropped) == (["p/a"], ["p"], ["p/f"])
    run.failed("p/a", retryable=False, attempt=2).done("p/f[0]/h", 1, attempt=2).done("p/f[1]/h", 2, attempt=2)
    assert run.output == [1, 2]
    assert plain(folded(run.events)) == plain(run.state)


def test_a_child_that_is_retried_by_hand_is_nobodys_child_any_more() -> None:
    state, program = ExecutionState(EXECUTION, TENANT), program_of([tool("a")])
    parent = Parent(WORKFLOW, "step", 1, BEGIN)
    decide(state, program, c.Start(BEGIN, WORKFLOW, 1, {}, {}, parent=parent))
    assert state.parent == parent
    decide(state, program, c.Cancel(BEGIN, ""))
    decide(state, program, c.Retry(BEGIN))
    assert state.parent is None
