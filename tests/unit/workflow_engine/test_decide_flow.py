"""What follows what: sequences, conditions, parallel steps, and what later steps see."""

from typing import Any

import pytest

from services.workflow.domain.decide import abandon
from services.workflow.domain.step_error import StepError
from services.workflow.limits import MAX_HISTORY_EVENTS
from tests.unit.workflow_engine.scenario import conditional, delay, given, parallel, tool, transform


def test_a_sequence_runs_one_after_another_and_hands_on_its_outputs() -> None:
    run = given(tool("one", {"n": "{input.n}"}), tool("two", {"from": "{one.text}"}), input_={"n": 7})
    assert run.story == ["execution-started", "scheduled one 1"]
    assert run.asked["one"] == {"server_id": "s", "tool_name": "t", "arguments": {"n": 7}}
    run.done("one", {"text": "hello"})
    assert run.story == ["completed one", "scheduled two 1"]
    assert run.asked["two"]["arguments"] == {"from": "hello"}
    run.done("two", {"ok": True})
    assert run.story == ["completed two", "execution-completed"]
    assert run.output == {"ok": True}
    assert run.state.status == "completed"


def test_transforms_follow_at_once() -> None:
    run = given(transform("a", 1), transform("b", {"was": "{a}"}))
    assert run.story == ["execution-started", "completed a", "completed b", "execution-completed"]
    assert run.output == {"was": 1}


def test_a_thousand_steps_need_no_deep_stack() -> None:
    run = given(*(transform(f"s{i}", i) for i in range(1000)))
    assert run.output == 999


@pytest.mark.parametrize(("go", "branch", "asked"), [(True, "if_true", "c/yes"), (False, "if_false", "c/no")])
def test_a_condition_takes_one_branch(go: bool, branch: str, asked: str) -> None:
    run = given(conditional("c", "$.input.go == true", tool("yes"), [tool("no")]), input_={"go": go})
    assert run.story == ["execution-started", "started c", f"scheduled {asked} 1"]
    run.done(asked, "x")
    assert run.story == [f"completed {asked}", "completed c", "execution-completed"]
    assert run.output == {"condition_result": go, "branch_taken": branch, "result": "x"}


def test_a_false_condition_without_a_branch_does_nothing() -> None:
    run = given(conditional("c", "$.input.go == true", tool("yes")))
    assert run.story == ["execution-started", "started c", "completed c", "execution-completed"]
    assert run.output == {"condition_result": False, "branch_taken": "if_false", "result": None}


def test_steps_after_a_condition_see_the_steps_of_its_branch() -> None:
    run = given(conditional("c", "$.input", [transform("a", 1), transform("b", "{a}")]), transform("end", "{b}"))
    assert run.output == 1


def test_a_step_is_skipped_when_its_condition_is_false() -> None:
    run = given(transform("a", 1), tool("b", when="$.input.go == true"), transform("d", "{a}"))
    assert run.story == ["execution-started", "completed a", "skipped b", "completed d", "execution-completed"]


def test_the_output_is_that_of_the_last_step_that_completed() -> None:
    assert given(transform("a", 1), tool("b", when="$.input.go == true")).output == 1


def test_parallel_waits_for_all() -> None:
    run = given(parallel("p", tool("x"), tool("y")), tool("after", {"x": "{x}"}))
    assert run.story == ["execution-started", "started p", "scheduled p/x 1", "scheduled p/y 1"]
    assert run.done("p/y", 2).story == ["completed p/y"]
    assert run.done("p/x", 1).story == ["completed p/x", "completed p", "scheduled after 1"]
    assert run.asked["after"]["arguments"] == {"x": 1}
    assert run.state.steps["p"].output == {"x": 1, "step_0": 1, "y": 2, "step_1": 2}


def test_any_cancels_the_losers() -> None:
    run = given(parallel("p", tool("x"), tool("y"), tool("z"), wait_for="any"))
    run.done("p/y", 2)
    assert run.story == ["completed p/y", "cancelled p/x", "cancelled p/z", "completed p", "execution-completed"]
    assert run.output == {"y": 2, "step_1": 2}


def test_a_loser_that_answers_later_changes_nothing() -> None:
    run = given(parallel("p", tool("x"), tool("y"), wait_for="any"), tool("after")).done("p/x", 1)
    assert run.done("p/y", 2).story == []
    assert run.failed("p/y").story == []


def test_a_quorum_that_a_transform_reaches_begins_no_more_siblings() -> None:
    run = given(parallel("p", transform("x", 1), tool("y"), wait_for="any"))
    assert run.story == ["execution-started", "started p", "completed p/x", "completed p", "execution-completed"]


def test_count_waits_for_so_many() -> None:
    run = given(parallel("p", tool("x"), tool("y"), tool("z"), wait_for="count:2"))
    assert run.done("p/z", 3).story == ["completed p/z"]
    assert run.done("p/x", 1).story == ["completed p/x", "cancelled p/y", "completed p", "execution-completed"]
    assert run.output == {"x": 1, "step_0": 1, "z": 3, "step_2": 3}


def test_all_fails_with_the_first_failure_and_cancels_the_rest() -> None:
    run = given(parallel("p", tool("x"), tool("y"))).failed("p/x")
    assert run.story == ["failed p/x tool_error", "cancelled p/y", "failed p tool_error", "execution-failed"]
    assert (run.error.step, run.error.code) == ("p/x", "tool_error")


def test_a_quorum_fails_only_once_it_is_out_of_reach() -> None:
    run = given(parallel("p", tool("x"), tool("y"), tool("z"), wait_for="count:2"))
    assert run.failed("p/x").story == ["failed p/x tool_error"]
    assert run.failed("p/y").story == [
        "failed p/y tool_error",
        "cancelled p/z",
        "failed p tool_error",
        "execution-failed",
    ]


def test_nested_losers_are_cancelled_with_all_they_hold() -> None:
    inner = conditional("c", "$.input", [parallel("q", tool("deep"), tool("deeper")), tool("never")])
    run = given(parallel("p", tool("x"), inner, wait_for="any"))
    assert run.story[-2:] == ["scheduled p/c/q/deep 1", "scheduled p/c/q/deeper 1"]
    run.done("p/x", 1)
    assert sorted(run.story[1:-2]) == [
        "cancelled p/c",
        "cancelled p/c/q",
        "cancelled p/c/q/deep",
        "cancelled p/c/q/deeper",
    ]
    assert run.story[-2:] == ["completed p", "execution-completed"]
    assert run.done("p/c/q/deep", 1).story == []
    assert not run.state.open_tasks
    assert not run.state.open_holders


def test_a_failure_climbs_through_all_that_holds_it() -> None:
    inner = conditional("c", "$.input", parallel("q", tool("deep")))
    run = given(parallel("p", inner, tool("x"))).failed("p/c/q/deep")
    assert run.story == [
        "failed p/c/q/deep tool_error",
        "failed p/c/q tool_error",
        "failed p/c tool_error",
        "cancelled p/x",
        "failed p tool_error",
        "execution-failed",
    ]


def test_a_name_that_begins_like_another_is_not_inside_it() -> None:
    run = given(parallel("a", parallel("p", tool("x"), wait_for="any"), parallel("pp", tool("y"))))
    assert run.done("a/p/x", 1).story == ["completed a/p/x", "completed a/p"]
    assert "a/pp/y" in run.state.open_tasks


def test_a_mapping_gives_what_later_steps_see() -> None:
    run = given(tool("a", output_mapping={"id": "$.items[0].id"}), transform("b", "{a}"))
    assert run.done("a", {"items": [{"id": 9}]}).output == {"id": 9}


def test_the_output_template_gives_the_result() -> None:
    run = given(transform("a", 1), transform("b", 2), output={"sum": ["{a}", "{b}"], "run": "{execution.id}"})
    assert run.output == {"sum": [1, 2], "run": str(run.state.id)}


def test_an_output_template_without_its_value_fails_the_execution() -> None:
    run = given(tool("a"), output="{a.missing}").done("a", {})
    assert run.story == ["completed a", "execution-failed"]
    assert run.error.code == "template_unresolved"


def test_an_input_template_without_its_value_fails_the_step() -> None:
    run = given(tool("a"), tool("b", {"x": "{a.missing}"})).done("a", {})
    assert run.story == ["completed a", "failed b template_unresolved", "execution-failed"]
    assert run.error.step == "b"


def test_a_step_that_may_fail_hands_on_its_error() -> None:
    run = given(tool("a", on_error="continue"), transform("b", "{a.error.code}")).failed("a", "boom")
    assert run.story == ["failed a boom continued", "completed b", "execution-completed"]
    assert run.output == "boom"


def test_a_holder_that_may_fail_catches_what_happens_inside() -> None:
    run = given(parallel("p", tool("x"), tool("y"), on_error="continue"), transform("b", "{p.error.step}"))
    run.failed("p/y")
    assert run.story == [
        "failed p/y tool_error",
        "cancelled p/x",
        "failed p tool_error continued",
        "completed b",
        "execution-completed",
    ]
    assert run.output == "p/y"


def test_any_is_not_won_by_a_step_that_was_skipped_or_let_pass() -> None:
    skipped = tool("x", when="$.input.go == true")
    run = given(parallel("p", skipped, tool("y", on_error="continue"), tool("z"), wait_for="any"))
    assert run.story == ["execution-started", "started p", "skipped p/x", "scheduled p/y 1", "scheduled p/z 1"]
    assert run.failed("p/y").story == ["failed p/y tool_error continued"]
    assert run.done("p/z", 3).story == ["completed p/z", "completed p", "execution-completed"]
    assert run.output == {"z": 3, "step_2": 3}


def test_any_of_nothing_but_skipped_steps_completes_with_nothing() -> None:
    never = "$.input.go == true"
    run = given(parallel("p", tool("x", when=never), tool("y", when=never), wait_for="any"), tool("after"))
    assert run.story[-2:] == ["completed p", "scheduled after 1"]
    assert run.state.steps["p"].output == {}


def test_a_quorum_that_skipped_steps_put_out_of_reach_takes_what_there_is() -> None:
    skipped = tool("x", when="$.input.go == true")
    run = given(parallel("p", skipped, tool("y"), tool("z"), wait_for="count:3")).done("p/y", 2)
    assert run.story == ["completed p/y"]
    assert run.done("p/z", 3).output == {"y": 2, "step_1": 2, "z": 3, "step_2": 3}


def test_a_failure_that_puts_the_quorum_out_of_reach_is_the_error_even_if_a_skip_says_so() -> None:
    skipped = conditional("c", "$.input.go == true", tool("deep"), tool("late", when="$.input.go == true"))
    run = given(parallel("p", tool("x"), parallel("q", tool("w"), skipped), wait_for="count:2"))
    assert run.failed("p/x", "broken").story[-2:] == ["failed p broken", "execution-failed"]


def test_all_is_content_with_skipped_and_let_pass() -> None:
    skipped = tool("x", when="$.input.go == true")
    run = given(parallel("p", skipped, tool("y", on_error="continue"), tool("z"))).done("p/z", 3)
    assert run.failed("p/y").story == ["failed p/y tool_error continued", "completed p", "execution-completed"]


@pytest.mark.parametrize(
    "steps",
    [
        [transform("a", ["{input}"] * 16), transform("b", ["{a}"] * 16)],
        [parallel("a", *(transform(f"t{n}", "{input}") for n in range(16)))],
        [tool("t"), tool("a", output_mapping={f"f{n}": "$.x" for n in range(40)})],
    ],
)
def test_what_multiplies_its_data_fails_at_the_bound(steps: list[dict[str, Any]]) -> None:
    run = given(*steps, input_="x" * 100_000)
    for name in ("t", "a"):
        if name in run.state.open_tasks:
            run.done(name, {"x": "y" * 40_000})
    assert run.error.code == "result_too_large"


def test_a_worker_is_not_given_more_than_the_bound() -> None:
    run = given(tool("a", {f"k{n}": "{input}" for n in range(12)}), input_="x" * 100_000)
    assert run.error.code == "payload_too_large"


def test_an_output_above_the_bound_fails_the_execution() -> None:
    run = given(transform("a", 1), output=["{input}"] * 12, input_="x" * 100_000)
    assert run.error.code == "result_too_large"


def test_a_history_at_its_bound_ends() -> None:
    run = given(tool("a"), tool("b"))
    run.state.version = MAX_HISTORY_EVENTS
    assert run.done("a", 1).story == ["cancelled a", "execution-failed"]
    assert run.error.code == "history_too_long"


def test_an_execution_whose_program_is_gone_ends_with_all_that_is_open() -> None:
    run = given(parallel("p", tool("x"), delay("d", 60)))
    ends = abandon(run.state, 5, StepError("definition_unreadable", "It cannot be read."))
    assert [event.TYPE.split(".")[1] for event in ends] == ["step-cancelled"] * 3 + ["execution-failed"]
    assert run.state.ended
    assert abandon(run.state, 5, StepError("definition_unreadable", "Again.")) == []
