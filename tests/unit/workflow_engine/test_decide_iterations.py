"""foreach and loop: order, concurrency, what is seen inside, and how failures leave them."""

import pytest

from services.workflow.limits import MAX_FOREACH_ITEMS, MAX_HISTORY_BYTES, MAX_STEP_RESULT_BYTES
from tests.unit.workflow_engine.scenario import (
    conditional,
    folded,
    foreach,
    given,
    loop,
    parallel,
    plain,
    tool,
    transform,
)


def test_a_foreach_gives_what_each_iteration_gave_in_the_items_order() -> None:
    run = given(
        foreach("each", "{input.xs}", tool("t", {"x": "{item}", "n": "{item_index}"})), input_={"xs": ["a", "b"]}
    )
    assert run.story[-2:] == ["scheduled each[0]/t 1", "scheduled each[1]/t 1"]
    assert run.asked["each[1]/t"]["arguments"] == {"x": "b", "n": 1}
    run.done("each[1]/t", "B").done("each[0]/t", "A")
    assert run.output == ["A", "B"]


def test_so_many_run_at_once_as_it_says() -> None:
    run = given(foreach("each", [1, 2, 3, 4], tool("t"), max_concurrency=2))
    assert [e for e in run.story if e.startswith("scheduled")] == ["scheduled each[0]/t 1", "scheduled each[1]/t 1"]
    run.done("each[1]/t", "b")
    assert run.story == ["completed each[1]/t", "scheduled each[2]/t 1"]
    run.done("each[0]/t", "a").done("each[2]/t", "c").done("each[3]/t", "d")
    assert run.output == ["a", "b", "c", "d"]


def test_a_step_inside_sees_its_own_iteration() -> None:
    run = given(
        foreach("each", [1, 2], tool("t", {"x": "{item}"}), transform("twice", "{t}{t}"), tool("u", {"y": "{twice}"}))
    )
    run.done("each[0]/t", "a").done("each[1]/t", "b")
    assert run.asked["each[1]/u"]["arguments"] == {"y": "bb"}
    run.done("each[1]/u", 2).done("each[0]/u", 1)
    assert run.output == [1, 2]


def test_iterations_inside_iterations() -> None:
    run = given(
        foreach(
            "rows",
            [[1, 2], [3]],
            foreach("cells", "{row}", transform("t", ["{row_index}", "{cell}"]), **{"as": "cell"}),
            **{"as": "row"},
        )
    )
    assert run.output == [[[0, 1], [0, 2]], [[1, 3]]]


def test_holders_inside_an_iteration() -> None:
    run = given(
        foreach(
            "each",
            [5, 20],
            parallel("both", tool("a"), tool("b")),
            conditional("big", "$.item > 10", transform("yes", "{a}!"), transform("no", "{b}")),
        )
    )
    run.done("each[0]/both/a", 1).done("each[0]/both/b", 2).done("each[1]/both/b", 4).done("each[1]/both/a", 3)
    assert [r["result"] for r in run.output] == [2, "3!"]


def test_no_items_are_an_empty_list() -> None:
    assert given(foreach("each", "{input.xs}", tool("t")), input_={"xs": []}).output == []


@pytest.mark.parametrize("items", ["text", {"a": 1}, None, list(range(MAX_FOREACH_ITEMS + 1))])
def test_items_that_are_no_list_or_too_many_fail_the_step(items: object) -> None:
    run = given(foreach("each", "{input.xs}", transform("t")), input_={"xs": items})
    assert run.error.code == "bad_items"


def test_the_most_items_that_there_may_be() -> None:
    run = given(foreach("each", "{input.xs}", transform("t", "{item}")), input_={"xs": list(range(MAX_FOREACH_ITEMS))})
    assert run.output == list(range(MAX_FOREACH_ITEMS))
    assert len(run.events) < MAX_FOREACH_ITEMS + 10  # an iteration of one step is one event


def test_an_iteration_that_fails_fails_the_whole_and_cancels_the_others() -> None:
    run = given(foreach("each", [1, 2, 3], tool("t"), max_concurrency=2))
    run.failed("each[0]/t", retryable=False)
    assert run.story == [
        "failed each[0]/t tool_error", "cancelled each[1]/t", "failed each tool_error", "execution-failed",
    ]  # fmt: skip


def test_an_iteration_may_fail_and_the_others_go_on() -> None:
    run = given(foreach("each", [1, 2], tool("t", on_error="continue")))
    run.failed("each[0]/t", retryable=False).done("each[1]/t", "b")
    assert run.output == [None, "b"]


def test_a_step_that_is_skipped_ends_its_iteration() -> None:
    run = given(foreach("each", [1, 2], tool("t", when="$.item > 1")))
    assert run.asked.keys() == {"each[1]/t"}
    run.done("each[1]/t", "b")
    assert run.output == [None, "b"]


def test_a_loop_goes_on_until_its_condition_holds() -> None:
    run = given(loop("again", "$.t > 2", tool("t", {"n": "{iteration.index}", "was": "{iteration.previous}"})))
    assert run.asked["again[0]/t"]["arguments"] == {"n": 0, "was": None}
    run.done("again[0]/t", 1)
    assert run.asked["again[1]/t"]["arguments"] == {"n": 1, "was": 1}
    run.done("again[1]/t", 3)
    assert run.output == {"iterations": 2, "condition_met": True, "result": 3}


def test_a_loop_ends_at_its_bound_and_says_so() -> None:
    run = given(loop("again", "$.t == 9", transform("t", "{iteration.index}"), max_iterations=3))
    assert run.output == {"iterations": 3, "condition_met": False, "result": 2}


def test_an_attempt_inside_an_iteration_is_tried_again() -> None:
    run = given(foreach("each", [1], tool("t", max_retries=1)))
    run.failed("each[0]/t")
    assert run.story == ["failed each[0]/t tool_error retry"]
    assert run.at(run.retry_after).wake().story == ["scheduled each[0]/t 2"]
    run.done("each[0]/t", "x", attempt=2)
    assert run.output == ["x"]


def test_what_is_stored_folds_to_what_was_decided() -> None:
    run = given(foreach("each", [1, 2], tool("t"), loop("l", "$.u > 0", transform("u", "{iteration.index}"))))
    run.done("each[0]/t", "a")
    assert plain(folded(run.events)) == plain(run.state)
    run.done("each[1]/t", "b")
    assert plain(folded(run.events)) == plain(run.state)


def test_one_decision_cannot_make_more_than_a_history_holds() -> None:
    """Ten thousand copies of half a megabyte would be as much memory as a machine has."""
    copies = foreach("each", "{input.items}", transform("copy", "{input.big}"))
    given_ = {"items": list(range(MAX_FOREACH_ITEMS)), "big": "x" * (MAX_STEP_RESULT_BYTES // 2)}
    run = given(copies, input_=given_)
    assert run.error.code == "history_too_long"
    assert len(run.events) < 3 * MAX_HISTORY_BYTES // (MAX_STEP_RESULT_BYTES // 2)


def test_nor_can_undoing_it() -> None:
    undo = foreach("undo", list(range(1_000)), transform("copy", "{input.big}"), **{"as": "n"})
    step = transform("done", 1, compensate=undo)
    run = given(foreach("each", list(range(100)), step), tool("t"), input_={"big": "x" * (MAX_STEP_RESULT_BYTES // 2)})
    run.failed("t")
    assert run.error.code == "tool_error"
    assert len(run.error.details["not_compensated"]) == 100
    assert len(run.events) < 1_000


def test_what_grows_deeper_with_each_iteration_ends_before_it_cannot_be_read() -> None:
    run = given(loop("l", "1 == 2", transform("t", ["{iteration.previous}"]), max_iterations=2_000))
    assert run.error.code == "nesting_too_deep"
    assert plain(folded(run.events)) == plain(run.state)
    again = given(loop("l", "1 == 2", transform("t", ["{iteration.previous}"]), max_iterations=199), output=1)
    assert again.output == 1
