"""Retries, timeouts, delays, the end of an execution, and results that come too late."""

from typing import Any

import pytest

from services.workflow.domain import commands as c
from services.workflow.limits import MAX_DELAY_SECONDS, TASK_GRACE_MS
from tests.unit.workflow_engine.scenario import BEGIN, WORKFLOW, conditional, delay, given, parallel, tool, transform


def retry(**fields: Any) -> dict[str, Any]:
    return {"max_attempts": 4, "initial_interval_ms": 100, "jitter": 0, **fields}


@pytest.mark.parametrize(
    ("backoff", "waits"), [("exponential", [100, 200, 400]), ("linear", [100, 200, 300]), ("none", [100, 100, 100])]
)
def test_attempts_follow_at_the_policys_intervals(backoff: str, waits: list[int]) -> None:
    run = given(tool("a", retry=retry(backoff=backoff)))
    now = 0
    for attempt, wait in enumerate(waits, 1):
        run.at(now).failed("a", attempt=attempt)
        assert run.story == ["failed a tool_error retry"]
        assert run.retry_after == wait
        assert run.state.status == "waiting"
        assert run.at(now + wait - 1).wake().story == []
        now += wait
        assert run.at(now).wake().story == [f"scheduled a {attempt + 1}"]
    assert run.failed("a", attempt=4).story == ["failed a tool_error", "execution-failed"]
    assert run.error.attempt == 4


def test_a_retry_that_succeeds_leaves_no_error() -> None:
    run = given(tool("a", retry=retry())).failed("a").at(100).wake().done("a", 5, attempt=2)
    assert run.story == ["completed a", "execution-completed"]
    assert run.state.steps["a"].error is None
    assert run.state.steps["a"].attempt == 2


@pytest.mark.parametrize(
    ("policy", "code", "retryable", "again"),
    [
        ({}, "x", True, True),
        ({}, "x", False, False),
        ({"retry_on": ["x"]}, "x", False, True),
        ({"retry_on": ["x"]}, "y", True, False),
        ({"never_on": ["x"]}, "x", True, False),
        ({"never_on": ["x"], "retry_on": ["x"]}, "x", True, False),
    ],
)
def test_which_errors_are_tried_again(policy: dict[str, Any], code: str, retryable: bool, again: bool) -> None:
    run = given(tool("a", retry=retry(**policy))).failed("a", code, retryable=retryable)
    assert run.story == ([f"failed a {code} retry"] if again else [f"failed a {code}", "execution-failed"])


def test_a_task_without_an_answer_is_tried_again_and_then_fails() -> None:
    run = given(tool("a", timeout_seconds=2, retry=retry(max_attempts=2)))
    assert run.at(1_999 + TASK_GRACE_MS).wake().story == []  # the worker may still say why
    assert run.at(2_000 + TASK_GRACE_MS).wake().story == ["failed a step_timeout retry"]
    assert run.done("a", 1).story == []  # its answer came too late
    assert run.at(2_100 + TASK_GRACE_MS).wake().story == ["scheduled a 2"]
    assert run.at(4_099 + 2 * TASK_GRACE_MS).wake().story == []
    assert run.at(4_100 + 2 * TASK_GRACE_MS).wake().story == ["failed a step_timeout", "execution-failed"]


def test_a_holder_that_takes_too_long_cancels_what_it_holds() -> None:
    run = given(parallel("p", tool("x"), delay("d", 60), timeout_seconds=5, on_error="continue"), transform("b", 1))
    run.at(5_000).wake()
    assert run.story == [
        "cancelled p/x",
        "cancelled p/d",
        "failed p step_timeout continued",
        "completed b",
        "execution-completed",
    ]


def test_a_branch_that_takes_too_long_fails_its_condition() -> None:
    run = given(conditional("c", "$.input", tool("x"), timeout_seconds=5)).at(5_000).wake()
    assert run.story == ["cancelled c/x", "failed c step_timeout", "execution-failed"]


def test_an_execution_that_takes_too_long_fails_as_a_whole() -> None:
    run = given(parallel("p", tool("x", timeout_seconds=60), delay("d", 99)), timeout_seconds=10)
    assert run.at(9_999).wake().story == []
    run.at(10_000).wake()
    assert run.story == ["cancelled p/x", "cancelled p/d", "cancelled p", "execution-failed"]
    assert run.error.code == "timeout"


def test_a_delay_waits_until_it_is_due() -> None:
    run = given(delay("d", "{input.s}"), tool("a"), input_={"s": 1.5})
    assert run.story == ["execution-started", "started d"]
    assert run.state.status == "waiting"
    assert run.at(1_499).wake().story == []
    assert run.at(1_500).wake().story == ["completed d", "scheduled a 1"]
    assert run.state.steps["d"].output == {"due": BEGIN + 1_500}


def test_a_delay_until_a_time_that_is_past_is_over_at_the_next_wake() -> None:
    run = given({"type": "delay", "name": "d", "until": "{input}"}, input_="1970-01-01T00:00:01Z")
    assert run.wake().story == ["completed d", "execution-completed"]


@pytest.mark.parametrize("seconds", ["soon", MAX_DELAY_SECONDS + 1, 1e400, None, [1]])
def test_a_template_that_gives_no_time_fails_the_delay(seconds: Any) -> None:
    run = given(delay("d", "{input.s}"), input_={"s": seconds})
    assert run.story == ["execution-started", "failed d bad_delay", "execution-failed"]


@pytest.mark.parametrize(
    ("timeout", "woken", "story"),
    [
        (1, 1_000, ["failed d step_timeout", "execution-failed"]),
        (1, 9_000, ["failed d step_timeout", "execution-failed"]),
        (3, 2_000, ["completed d", "execution-completed"]),
        (3, 9_000, ["completed d", "execution-completed"]),
    ],
)
def test_a_delay_and_its_timeout_whichever_comes_first(timeout: int, woken: int, story: list[str]) -> None:
    assert given(delay("d", 2, timeout_seconds=timeout)).at(woken).wake().story == story


def test_delays_side_by_side_end_each_in_its_time() -> None:
    run = given(parallel("p", delay("x", 2), delay("y", 1)))
    assert run.at(1_000).wake().story == ["completed p/y"]
    assert run.at(2_000).wake().story == ["completed p/x", "completed p", "execution-completed"]


def test_what_a_wake_ends_is_not_woken_by_the_same_wake() -> None:
    run = given(parallel("p", delay("x", 1), delay("y", 1), wait_for="any"))
    assert run.at(1_000).wake().story == ["completed p/x", "cancelled p/y", "completed p", "execution-completed"]


def test_a_cancelled_execution_cancels_all_that_is_open() -> None:
    run = given(parallel("p", tool("x"), tool("y", retry=retry()), delay("d", 9))).failed("p/y").cancel()
    assert run.story == ["cancelled p/x", "cancelled p/d", "cancelled p/y", "cancelled p", "execution-cancelled"]
    assert run.state.status == "cancelled"


@pytest.mark.parametrize("attempt", [0, 1, 3])
def test_only_the_open_attempt_is_heard(attempt: int) -> None:
    run = given(tool("a", retry=retry())).failed("a").at(100).wake()
    assert run.done("a", 1, attempt=attempt).story == []
    assert run.failed("a", attempt=attempt).story == []
    assert run.done("a", 1, attempt=2).story == ["completed a", "execution-completed"]


def test_a_result_that_comes_twice_is_recorded_once() -> None:
    run = given(tool("a"), tool("b")).done("a", 1)
    assert run.done("a", 2).story == []
    assert run.state.scope["a"] == 1


@pytest.mark.parametrize("path", ["nowhere", "p", "p/d"])
def test_a_result_of_what_is_no_open_task_is_not_recorded(path: str) -> None:
    assert given(parallel("p", tool("x"), delay("d", 9))).done(path, 1).story == []


def test_a_second_start_is_nothing() -> None:
    assert given(tool("a")).tell(c.Start(BEGIN, WORKFLOW, 2, {}, {})).story == []


@pytest.mark.parametrize("end", ["done", "failed", "cancel"])
def test_nothing_happens_to_an_execution_that_ended(end: str) -> None:
    run = given(tool("a"))
    _ = run.cancel() if end == "cancel" else getattr(run, end)("a")
    assert run.state.ended
    version = run.state.version
    for told in (run.done("a"), run.failed("a"), run.at(10**9).wake(), run.cancel()):
        assert told.story == []
    assert run.state.version == version
