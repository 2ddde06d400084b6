"""Whoever waits for an owner's answer is told, whatever becomes of the question."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from services.workflow.entry.handover import HandOver, Verb
from services.workflow.entry.messages import Answer
from services.workflow.metrics import EngineMetrics
from shared.ids import new_id
from tests.unit.workflow_engine.engine_house import PATIENCE_S

SUBJECT = "commands.workflow.nudge-execution"


class Nudge(msgspec.Struct, frozen=True):
    execution_id: UUID


class Elsewhere:
    """`Owners`: all is decided by one other engine."""

    def __init__(self) -> None:
        self._engine = new_id()

    def owner_of(self, execution_id: UUID) -> UUID | None:
        return self._engine


async def answers(request: Any, *nudges: Nudge) -> list[Answer]:
    async def never(nudge: Nudge) -> Any:
        raise AssertionError(f"{nudge} is decided elsewhere")

    client = cast("Any", SimpleNamespace(request=request))
    metrics = EngineMetrics(CollectorRegistry())
    handover = HandOver(lambda: client, new_id(), Elsewhere(), {SUBJECT: Verb(Nudge, never)}, metrics)
    async with asyncio.timeout(PATIENCE_S):
        return await handover.answers(SUBJECT, nudges)


@pytest.mark.parametrize("surplus", [-2, -1, 1])
async def test_a_wrong_number_of_answers_leaves_the_commands_for_later(surplus: int) -> None:
    nudges = [Nudge(new_id()), Nudge(new_id())]

    async def request(*_: Any, **__: Any) -> Any:
        said = [Answer(new_id(), "running", 1, 1) for _ in range(len(nudges) + surplus)]
        return SimpleNamespace(data=msgspec.json.encode(said))

    for nudge, answer in zip(nudges, await answers(request, *nudges), strict=True):
        assert answer.execution_id == nudge.execution_id
        assert answer.error is not None
        assert (answer.error.code, answer.error.retry_after is not None) == ("partition_moving", True)


async def test_a_bug_on_the_way_is_heard_by_who_waits() -> None:
    async def request(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        await answers(request, Nudge(new_id()))
