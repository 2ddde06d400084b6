"""What a step that failed, and whose `on_error` steps run, still does and counts: nothing but those."""

from tests.unit.workflow_engine.scenario import foreach, given, loop, parallel, tool, transform

BROKEN = transform("broken", "{input.nothing}")


def test_a_loop_is_not_over_while_on_error_runs() -> None:
    run = given(loop("again", "$.input.no", tool("t", on_error=[tool("h")]), max_iterations=1))
    run.failed("again[0]/t", retryable=False)
    assert run.wake().story == []
    run.done("again[0]/t/h", "saved")
    assert run.output == {"iterations": 1, "condition_met": False, "result": "saved"}


def test_a_parallel_that_failed_while_it_began_begins_only_its_on_error() -> None:
    run = given(parallel("p", BROKEN, tool("a"), on_error=[tool("h")]))
    assert list(run.asked) == ["p/h"]
    assert run.done("p/h").story == ["completed p/h", "completed p", "execution-completed"]


def test_a_foreach_that_failed_while_it_began_begins_only_its_on_error() -> None:
    run = given(foreach("f", [1, 2, 3], BROKEN, on_error=[tool("h")]))
    assert list(run.asked) == ["f/h"]
    assert [path for path in run.state.steps if path.startswith("f[")] == ["f[0]/broken"]
    assert run.done("f/h").story == ["completed f/h", "completed f", "execution-completed"]


def test_a_join_does_not_count_the_steps_of_on_error() -> None:
    run = given(parallel("p", tool("a"), tool("b"), tool("c"), on_error=[tool("h"), tool("i")]))
    run.failed("p/a").done("p/h").failed("p/i")
    assert run.state.ended
    run.retry().done("p/a", attempt=2).done("p/b", attempt=2)
    assert not run.state.ended, "c is still to come"
    run.done("p/c", attempt=2)
    assert set(run.output) == {"a", "b", "c", "step_0", "step_1", "step_2"}


def test_a_foreach_does_not_count_the_steps_of_on_error() -> None:
    run = given(foreach("f", [1, 2], tool("a"), max_concurrency=1, on_error=[tool("h"), tool("i")]))
    run.failed("f[0]/a").done("f/h").failed("f/i")
    run.retry().done("f[0]/a", "x", attempt=2)
    assert not run.state.ended, "the second item is still to come"
    assert run.done("f[1]/a", "y").output == ["x", "y"]


def test_a_step_of_on_error_that_begins_once_more_has_all_its_retries() -> None:
    policy = {"max_attempts": 2, "initial_interval_ms": 1, "jitter": 0}
    run = given(parallel("p", tool("a"), on_error=[tool("h", retry=policy)]))
    run.failed("p/a").failed("p/h").at(10).wake().failed("p/h", attempt=2)
    assert run.state.ended
    run.retry().failed("p/a", attempt=2)
    assert run.story[-1] == "scheduled p/h 3"
    assert run.failed("p/h", attempt=3).story == ["failed p/h tool_error retry"]
