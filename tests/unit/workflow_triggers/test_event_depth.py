"""A chain of executions that start each other by events ends at a depth."""

from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest
from nats.aio.msg import Msg

from services.workflow.app.ports import Triggered
from services.workflow.app.starting import Executions
from services.workflow.domain.events import ExecutionStarted
from services.workflow.domain.language.definition import EventTrigger
from services.workflow.entry.triggers import trigger_consumers
from services.workflow.limits import MAX_TRIGGER_DEPTH
from shared.bus.outcome import Done, Outcome, Poison
from tests.unit.workflow_engine.engine_house import NO_ADMISSION, House
from tests.unit.workflow_engine.scenario import TENANT, WORKFLOW, program_of, transform


class Triggers:
    def __init__(self, trigger: EventTrigger) -> None:
        self._trigger = trigger

    async def of(self, tenant_id: UUID) -> list[Triggered]:
        return [Triggered(WORKFLOW, 1, self._trigger)]


async def hear(house: House, headers: dict[str, str], data: Any = None, **fields: Any) -> Outcome:
    message = SimpleNamespace(
        subject=f"events.{TENANT}.external.orders",
        data=msgspec.json.encode(data),
        headers={"ce-id": "e1", **headers},
        metadata=SimpleNamespace(sequence=SimpleNamespace(stream=1)),
    )
    triggers = Triggers(EventTrigger(subject="external.orders", **fields))
    consumer, _ = trigger_consumers(triggers, Executions(house.engine, house.programs, house.store.log, NO_ADMISSION))
    return await consumer.handler(cast("Msg", message))


async def started(house: House) -> list[ExecutionStarted]:
    found = [(await house.store.events(run))[0] for run in house.store.rows]
    return [event for event in found if isinstance(event, ExecutionStarted)]


@pytest.mark.parametrize(
    ("headers", "depth"), [({}, 0), ({"ce-depth": "1"}, 1), ({"ce-depth": str(MAX_TRIGGER_DEPTH)}, MAX_TRIGGER_DEPTH)]
)
async def test_an_execution_knows_how_deep_it_is(headers: dict[str, str], depth: int) -> None:
    async with House(program_of([transform("a")])) as house:
        assert await hear(house, headers) == Done()
        [event] = await started(house)
    assert event.context["event"] == {"id": "e1", "subject": "external.orders", "type": None, "depth": depth}


async def test_what_is_too_deep_starts_nothing_and_is_kept_aside() -> None:
    async with House(program_of([transform("a")])) as house:
        outcome = await hear(house, {"ce-depth": str(MAX_TRIGGER_DEPTH + 1)})
        assert not house.store.rows
    assert isinstance(outcome, Poison)
    assert "trigger_too_deep: 17 executions lie before the event" in outcome.why


async def test_what_starts_nothing_is_not_too_deep() -> None:
    async with House(program_of([transform("a")])) as house:
        outcome = await hear(house, {"ce-depth": "99"}, {"n": 1}, condition="$.event.data.n == 2")
    assert outcome == Done()


@pytest.mark.parametrize("depth", ["", "-1", "1.5", "x", "²", "9" * 10, " 1"])
async def test_a_depth_that_is_none_is_kept_aside(depth: str) -> None:
    async with House(program_of([transform("a")])) as house:
        outcome = await hear(house, {"ce-depth": depth})
        assert not house.store.rows
    assert isinstance(outcome, Poison)
    assert "ce-depth" in outcome.why
