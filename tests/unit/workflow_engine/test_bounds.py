"""Bounds on what one execution may grow to: each ends it with a clear error."""

import asyncio

from services.workflow.limits import MAX_FOREACH_ITEMS, MAX_HISTORY_BYTES, MAX_HISTORY_EVENTS, MAX_STEP_RESULT_BYTES
from tests.unit.workflow_engine.engine_house import House
from tests.unit.workflow_engine.scenario import foreach, given, loop, program_of, tool, transform

ITEMS = {"xs": list(range(MAX_FOREACH_ITEMS))}


def test_a_history_ends_at_its_most_events() -> None:
    six = [transform(f"t{n}") for n in range(6)]
    run = given(foreach("each", "{input.xs}", *six), input_=ITEMS)
    assert run.error.code == "history_too_long"
    assert MAX_HISTORY_EVENTS <= len(run.events) <= MAX_HISTORY_EVENTS + 10


def test_a_loop_in_a_loop_ends_too() -> None:
    run = given(
        loop("a", "$.input.no", loop("b", "$.input.no", transform("t"), max_iterations=10_000), max_iterations=10_000)
    )
    assert run.error.code == "history_too_long"


def test_one_decision_cannot_make_more_than_a_history_holds() -> None:
    large = "x" * (MAX_STEP_RESULT_BYTES - 100)
    run = given(foreach("each", "{input.xs}", transform("t", "{input.large}")), input_={**ITEMS, "large": large})
    assert run.error.code == "history_too_long"
    assert len(run.events) < 2 * MAX_HISTORY_BYTES // MAX_STEP_RESULT_BYTES


def test_what_was_done_is_undone_all_the_same() -> None:
    six = [transform(f"t{n}") for n in range(6)]
    run = given(transform("a", compensate=tool("u")), foreach("each", "{input.xs}", *six), input_=ITEMS)
    assert run.story[-1] == "scheduled a/u 1"
    run.done("a/u")
    assert run.error.code == "history_too_long"


async def test_a_history_ends_at_its_most_bytes() -> None:
    steps = 2 * MAX_HISTORY_BYTES // MAX_STEP_RESULT_BYTES
    result = "x" * (MAX_STEP_RESULT_BYTES - 1_000)
    async with House(program_of([tool(f"s{n}") for n in range(steps)])) as house:
        accepted = await house.start()
        done = 0
        while accepted.execution_id in house.tracking.open:
            if len(house.sent.tasks) > done:
                house.done(accepted.execution_id, house.sent.tasks[done].step_path, result)
                done += 1
            await asyncio.sleep(0)
        last = (await house.store.events(accepted.execution_id))[-1]
        assert last.error.code == "history_too_long"  # type: ignore[attr-defined]
        assert done <= MAX_HISTORY_BYTES // MAX_STEP_RESULT_BYTES + 2
