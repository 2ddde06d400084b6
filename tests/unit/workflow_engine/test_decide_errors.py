"""on_error steps, switch, and compensation: what happens when things go wrong."""

from tests.unit.workflow_engine.scenario import (
    conditional,
    delay,
    folded,
    foreach,
    given,
    parallel,
    plain,
    tool,
    transform,
)


def switch(name: str, value: str, branches: dict[str, object], default: object = None) -> dict[str, object]:
    return {"type": "conditional", "name": name, "switch": value, "branches": branches} | (
        {} if default is None else {"default": default}
    )


def test_a_switch_takes_the_branch_of_its_value() -> None:
    steps = switch("s", "{input.k}", {"red": transform("r", 1), "7": [transform("n", 2)], "true": transform("t", 3)},
                   transform("d", 4))  # fmt: skip
    taken = {str(k): given(steps, input_={"k": k}).output for k in ("red", 7, True, "blue", None)}
    assert taken == {
        "red": {"condition_result": "red", "branch_taken": "red", "result": 1},
        "7": {"condition_result": 7, "branch_taken": "7", "result": 2},
        "True": {"condition_result": True, "branch_taken": "true", "result": 3},
        "blue": {"condition_result": "blue", "branch_taken": "default", "result": 4},
        "None": {"condition_result": None, "branch_taken": "default", "result": 4},
    }


def test_an_empty_branch_does_nothing_and_the_default_neither() -> None:
    steps = switch("s", "{input.k}", {"red": []}, transform("d", 4))
    assert given(steps, input_={"k": "red"}).output["result"] is None


def test_on_error_steps_run_instead_and_stand_for_what_failed() -> None:
    run = given(tool("t", on_error=[transform("h", {"instead": "{t.error.code}"})]), transform("end", "{t.instead}"))
    run.failed("t", retryable=False)
    assert run.story == [
        "failed t tool_error handled", "completed t/h", "completed t", "completed end", "execution-completed",
    ]  # fmt: skip
    assert run.output == "tool_error"


def test_on_error_steps_that_fail_fail_the_step() -> None:
    run = given(tool("t", on_error=[tool("h")]))
    run.failed("t", retryable=False).failed("t/h", "worse", retryable=False)
    assert run.story == ["failed t/h worse", "failed t worse", "execution-failed"]


def test_on_error_of_a_holder_begins_when_all_inside_is_over() -> None:
    run = given(parallel("p", tool("a"), tool("b"), on_error=[tool("h")]))
    run.failed("p/a", retryable=False)
    assert run.story == ["failed p/a tool_error", "cancelled p/b", "failed p tool_error handled", "scheduled p/h 1"]
    run.done("p/h", "saved")
    assert run.output == "saved"


def test_on_error_in_a_branch_of_parallel_counts_as_good() -> None:
    run = given(parallel("p", tool("a", on_error=[transform("h", 1)]), tool("b")))
    run.failed("p/a", retryable=False).done("p/b", 2)
    assert run.output == {"a": 1, "step_0": 1, "b": 2, "step_1": 2}


def undo(name: str) -> dict[str, object]:
    return {"compensate": tool(f"undo_{name}", {"was": f"{{{name}}}"})}


def test_what_was_done_is_undone_in_reverse_when_it_fails() -> None:
    run = given(tool("a", **undo("a")), tool("b", **undo("b")), tool("c", **undo("c")))
    run.done("a", 1).done("b", 2).failed("c", retryable=False)
    assert run.story == ["failed c tool_error", "compensation-started", "scheduled b/undo_b 1"]
    assert run.asked["b/undo_b"]["arguments"] == {"was": 2}
    run.done("b/undo_b")
    assert run.story == ["completed b/undo_b", "compensated b", "scheduled a/undo_a 1"]
    run.done("a/undo_a")
    assert run.story == ["completed a/undo_a", "compensated a", "execution-failed"]
    assert run.error.code == "tool_error"


def test_what_was_done_is_undone_when_it_is_cancelled() -> None:
    run = given(tool("a", **undo("a")), tool("b"))
    run.done("a", 1).cancel()
    assert run.story == ["cancelled b", "compensation-started", "scheduled a/undo_a 1"]
    assert run.cancel().story == []
    run.done("a/undo_a")
    assert run.story[-1] == "execution-cancelled"


def test_terminate_undoes_nothing() -> None:
    run = given(tool("a", **undo("a")), tool("b"))
    run.done("a", 1).terminate()
    assert run.story == ["cancelled b", "execution-cancelled"]


def test_a_step_that_cannot_be_undone_is_named_and_the_others_are_undone() -> None:
    run = given(tool("a", **undo("a")), tool("b", **undo("b")), tool("c"))
    run.done("a").done("b").failed("c", retryable=False).failed("b/undo_b", "stuck", retryable=False)
    assert run.story == ["failed b/undo_b stuck", "compensated b", "scheduled a/undo_a 1"]
    run.done("a/undo_a")
    assert run.error.details["not_compensated"] == ["b"]


def test_undoing_has_a_time_of_its_own_and_then_is_given_up() -> None:
    run = given(tool("a", **undo("a")), delay("d", 9_000), timeout_seconds=10)
    run.done("a").at(10_000).wake()
    assert run.story[-1] == "scheduled a/undo_a 1"
    run.at(21_000).wake()
    assert run.story == ["cancelled a/undo_a", "execution-failed"]
    assert run.error.code == "timeout"
    assert run.error.details["not_compensated"] == ["a"]


def test_iterations_and_branches_are_undone_too() -> None:
    run = given(
        foreach(
            "each", [1, 2], tool("pay", {"x": "{item}"}, compensate=tool("refund", {"of": "{item}", "was": "{pay}"}))
        ),
        conditional("c", "$.input.x", tool("boom"), tool("bang")),
    )
    run.done("each[1]/pay", "p2").done("each[0]/pay", "p1").failed("c/bang", retryable=False)
    assert run.asked == {
        "each[0]/pay/refund": {"server_id": "s", "tool_name": "t", "arguments": {"of": 1, "was": "p1"}}
    }
    run.done("each[0]/pay/refund")
    assert run.asked["each[1]/pay/refund"]["arguments"] == {"of": 2, "was": "p2"}
    run.done("each[1]/pay/refund")
    assert run.story[-1] == "execution-failed"
    assert plain(folded(run.events)) == plain(run.state)


def test_a_step_that_failed_and_was_replaced_is_not_undone() -> None:
    run = given(tool("a", on_error=[transform("h", 1)], **undo("a")), tool("b"))
    run.failed("a", retryable=False).failed("b", retryable=False)
    assert run.story == ["failed b tool_error", "execution-failed"]
