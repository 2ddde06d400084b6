"""What a fork takes over, read from a history of any length without holding up the engine."""

import asyncio
import datetime as dt
from collections.abc import Sequence

import pytest

from services.workflow.app import forking
from services.workflow.app.forking import recorded_before
from services.workflow.domain.events import EXECUTION_EVENTS
from services.workflow.domain.language.program import Program
from services.workflow.domain.state import ExecutionState
from services.workflow.domain.walk import Recorded
from services.workflow.errors import ForkPointUndoes, ForkPointUnknown
from services.workflow.limits import FOLDED_AT_ONCE
from shared.eventstore.catalogue import DomainEvent
from shared.eventstore.event import RecordedEvent
from tests.unit.workflow_engine.scenario import (
    EXECUTION,
    TENANT,
    Scenario,
    approval,
    foreach,
    parallel,
    program_of,
    tool,
)

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ITEMS = 300


def recorded(events: Sequence[DomainEvent]) -> list[RecordedEvent]:
    return [
        RecordedEvent(n, TENANT, EXECUTION, n, event.TYPE, EXECUTION_EVENTS.encode(event), b"{}", NOW)
        for n, event in enumerate(events, 1)
    ]


def many_items() -> Scenario:
    """A long history in which the name of the last step, `a`, stands in nearly every event."""
    program = program_of([foreach("each", list(range(ITEMS)), tool("task"), max_concurrency=ITEMS), tool("a")])
    scenario = Scenario(program)
    for number in range(ITEMS):
        scenario.done(f"each[{number}]/task", number)
    return scenario.done("a", "end")


async def test_a_fork_takes_over_what_had_ended_and_looks_at_that_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, looks = many_items(), []
    real = forking.endings

    def counted(state: ExecutionState, program: Program) -> dict[str, Recorded]:
        looks.append(state.version)
        return real(state, program)

    monkeypatch.setattr(forking, "endings", counted)
    found = await recorded_before(recorded(scenario.events), "a", scenario.program, scenario.program)
    assert {path: how.output for path, how in found.items()} == {f"each[{n}]/task": n for n in range(ITEMS)}
    assert len(looks) == 1


async def test_the_loop_has_its_turns_while_a_long_history_is_read() -> None:
    events, turns = recorded(many_items().events), 0

    async def engine() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(engine())
    with pytest.raises(ForkPointUnknown):
        await recorded_before(events, "nowhere", many_items().program, many_items().program)
    running.cancel()
    assert turns >= len(events) // FOLDED_AT_ONCE >= 2


async def test_the_first_step_has_nothing_before_it() -> None:
    scenario = Scenario(program_of([tool("at"), tool("a")])).done("at", 1).done("a", 2)
    assert await recorded_before(recorded(scenario.events), "at", scenario.program, scenario.program) == {}
    assert list(await recorded_before(recorded(scenario.events), "a", scenario.program, scenario.program)) == ["at"]


async def test_what_a_person_decided_is_no_output_of_a_tool() -> None:
    scenario = Scenario(program_of([approval("ok"), tool("a"), tool("b")])).decide("ok").done("a", 1)
    other = program_of([tool("ok"), tool("a"), tool("b")])
    found = await recorded_before(recorded(scenario.events), "b", scenario.program, other)
    assert list(found) == ["a"]


async def test_there_is_no_fork_from_a_step_that_undoes() -> None:
    steps = [tool("a", compensate=parallel("u", tool("v"))), tool("b")]
    scenario = Scenario(program_of(steps)).done("a").failed("b", retryable=False)
    assert "scheduled a/u/v 1" in scenario.story
    for path in ("a/u", "a/u/v"):
        with pytest.raises(ForkPointUndoes):
            await recorded_before(recorded(scenario.events), path, scenario.program, scenario.program)
