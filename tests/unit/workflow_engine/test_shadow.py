"""Shadow replay and changes: what another definition would have decided over what is recorded."""

from typing import Any

import msgspec
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from services.workflow.domain.changes import changes
from services.workflow.domain.language.comparison import equal
from services.workflow.domain.shadow import shadow, why_not
from tests.unit.workflow_engine.scenario import (
    Scenario,
    approval,
    conditional,
    delay,
    foreach,
    given,
    loop,
    parallel,
    program_of,
    tool,
    transform,
    wait,
)

STEPS = [
    tool("fetch"),
    conditional("big", "$.fetch.n > 10", tool("check", {"n": "{fetch.n}"}), transform("fine", "ok")),
    tool("end", {"was": "{big.result}"}),
]


def run(steps: list[dict[str, Any]], n: int = 20) -> Scenario:
    return given(*steps).done("fetch", {"n": n}).done("big/check", "checked").done("end", "done")


def told(recorded: Scenario, steps: list[dict[str, Any]]) -> list[tuple[str, str, Any, Any]]:
    assert recorded.state.ended
    came = shadow(recorded.state, program_of(steps))
    return [(d.path, d.what, d.recorded, d.shadow) for d in came.differences]


def test_the_same_definition_decides_the_same() -> None:
    came = shadow(run(STEPS).state, program_of(STEPS))
    assert (came.status, came.differences, came.stopped_at) == ("completed", [], [])


def test_another_condition_is_another_branch_and_another_input() -> None:
    other = [STEPS[0], conditional("big", "$.fetch.n > 30", tool("check"), transform("fine", "ok")), STEPS[2]]
    assert told(run(STEPS), other) == [
        ("big", "branch", "if_true", "if_false"),
        ("big/fine", "new", None, "completed"),
        ("end", "input", {"server_id": "s", "tool_name": "t", "arguments": {"was": "checked"}},
         {"server_id": "s", "tool_name": "t", "arguments": {"was": "ok"}}),
        ("big/check", "gone", "completed", None),
    ]  # fmt: skip


def test_a_step_without_a_result_is_where_it_stops() -> None:
    came = shadow(run(STEPS).state, program_of([STEPS[0], tool("more", {"n": "{fetch.n}"}), *STEPS[1:]]))
    assert came.status == "running"
    assert came.stopped_at == ["more"]
    assert [(d.path, d.what) for d in came.differences] == [("more", "new")]


def test_another_output() -> None:
    came = shadow(run(STEPS).state, program_of(STEPS, output={"n": "{fetch.n}"}))
    assert [(d.path, d.what, d.recorded, d.shadow) for d in came.differences] == [("", "output", "done", {"n": 20})]


def test_failures_are_taken_over_too() -> None:
    steps = [tool("a", on_error=[tool("h")]), tool("b", on_error="continue"), tool("c")]
    recorded = given(*steps).failed("a", retryable=False).done("a/h", 1).failed("b", retryable=False)
    recorded.failed("c", retryable=False)
    assert told(recorded, steps) == []
    assert told(recorded, [steps[0], steps[1], tool("c", on_error="continue")]) == [
        ("", "status", "failed", "completed")
    ]


def test_all_kinds_of_steps_decide_the_same_again() -> None:
    steps = [
        foreach("each", [1, 2], tool("t", {"x": "{item}"}), approval("ok")),
        loop("again", "$.u > 1", tool("u")),
        parallel("p", tool("x"), tool("y"), wait_for="any"),
        delay("d", 1),
        wait("w", timeout_seconds=5, on_timeout=[tool("late")]),
        wait("s"),
        tool("pay", compensate=tool("refund")),
        tool("boom"),
    ]
    recorded = given(*steps)
    recorded.done("each[0]/t", 1).done("each[1]/t", 2).decide("each[0]/ok").decide("each[1]/ok", approved=False)
    recorded.done("again[0]/u", 1).done("again[1]/u", 2).done("p/y", 3).at(1_000).wake().at(6_000).wake()
    recorded.done("w/late", "l").signal(data=4).done("pay", "p").failed("boom", retryable=False).done("pay/refund")
    assert recorded.state.status == "failed"
    assert told(recorded, steps) == []


def test_a_holder_whose_time_ran_out_has_no_shadow() -> None:
    steps = [parallel("p", tool("a"), timeout_seconds=1, on_error="continue"), tool("end")]
    recorded = given(*steps).at(1_000).wake().done("end")
    assert recorded.state.ended
    assert why_not(recorded.state, program_of(steps)) == "the time of p ran out, and a shadow knows no time"
    assert why_not(recorded.state, program_of([tool("p"), tool("end")])) is None


def test_siblings_that_did_not_count_any_more_are_no_decision() -> None:
    steps = [parallel("p", tool("a"), tool("b"), tool("d"), on_error="continue"), tool("end")]
    recorded = given(*steps).done("p/a").failed("p/b", retryable=False).done("end")
    assert recorded.state.ended
    assert told(recorded, steps) == []


def test_what_has_no_shadow() -> None:
    assert why_not(given(tool("a")).state, program_of([tool("a")])) == "it has not ended"
    assert why_not(given(tool("a")).cancel().state, program_of([tool("a")])) == "somebody cancelled it"
    assert (
        why_not(given(tool("a"), timeout_seconds=1).at(9_000).wake().state, program_of([tool("a")]))
        == "it ended by timeout"
    )
    assert why_not(run(STEPS).state, program_of(STEPS)) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.", max_size=2), inner, max_size=3),
    max_leaves=8,
)


@hypothesis_given(JSON, JSON)
def test_no_change_means_equal(before: Any, after: Any) -> None:
    assert (list(changes(before, after)) == []) == equal(before, after)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 2, "b": 3}, [("a", 1, 2), ("b", None, 3)]),
        ({"a": [1, 2]}, {"a": [1]}, [("a[1]", 2, None)]),
        ({"a": {"x y": True}}, {"a": {"x y": 1}}, [("a['x y']", True, 1)]),
        ([1], {"a": 1}, [("", [1], {"a": 1})]),
    ],
)
def test_changes(before: Any, after: Any, expected: list[Any]) -> None:
    plain = [
        (c.path, *(None if v is msgspec.UNSET else v for v in (c.before, c.after))) for c in changes(before, after)
    ]
    assert plain == expected
