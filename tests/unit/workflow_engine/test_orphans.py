"""Children whose parents no longer need them are found by what is recorded; none keeps the others from their end."""

import asyncio
from typing import Any, cast
from uuid import UUID

import pytest

from services.workflow.app.children import Children, watch_orphans
from services.workflow.app.family import Orphan
from services.workflow.app.items import Accepted, StartItem
from services.workflow.app.ports import HistoryReader
from services.workflow.app.starting import Door
from services.workflow.domain.events import Parent
from shared.ids import new_id
from tests.unit.workflow_engine.engine_house import House, until
from tests.unit.workflow_engine.scenario import TENANT, WORKFLOW, program_of, tool


async def child_of(house: House, parent: UUID) -> UUID:
    """Start a child of the parent's step `a`."""
    done: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
    item = StartItem(
        new_id(), TENANT, WORKFLOW, 1, None, {}, "workflow", "user:test", "00-trace", done,
        parent=Parent(parent, "a", 1, 1),
    )  # fmt: skip
    return (await house.engine.start(item)).execution_id


async def test_what_is_decided_and_not_recorded_makes_no_orphan() -> None:
    async with House(program_of([tool("a"), tool("b")])) as house:
        parent = (await house.start()).execution_id
        child = await child_of(house, parent)
        assert await house.engine.orphans() == []
        house.store.open.clear()
        house.done(parent, "a")
        await until(lambda: house.store.commits[-1] == [parent])
        assert await house.engine.orphans() == [], "the commit may still be refused"
        house.store.open.set()
        await until(lambda: len(house.sent.tasks) == 3)
        assert [orphan.execution_id for orphan in await house.engine.orphans()] == [child]


async def test_a_parent_that_cannot_be_folded_hides_no_other() -> None:
    program = program_of([tool("a"), tool("b")])
    async with House(program) as house:
        parents = [(await house.start()).execution_id for _ in range(2)]
        _, lost = [await child_of(house, parent) for parent in parents]
        house.done(parents[1], "a")
        await until(lambda: len(house.sent.tasks) == 5)
        house.store.unreadable = {parents[0]}
        house.engine._states.clear()
        assert [orphan.execution_id for orphan in await house.engine.orphans()] == [lost]


class BadDoor:
    """Cancels what it can: one fails with a bug, one by a connection."""

    def __init__(self, fails: dict[UUID, Exception]) -> None:
        self.fails = fails
        self.cancelled: list[UUID] = []

    async def cancel(self, execution_id: UUID, *_: Any) -> None:
        if execution_id in self.fails:
            raise self.fails[execution_id]
        self.cancelled.append(execution_id)


class Finder:
    """Stands for the engine, of which only this is asked."""

    def __init__(self, *found: Orphan) -> None:
        self.found = found

    async def orphans(self) -> list[Orphan]:
        return list(self.found)


async def test_a_child_that_cannot_be_cancelled_keeps_no_other_running(caplog: pytest.LogCaptureFixture) -> None:
    orphans = [Orphan(new_id(), TENANT, "why") for _ in range(3)]
    door = BadDoor({orphans[0].execution_id: ZeroDivisionError("a bug"), orphans[1].execution_id: OSError("away")})
    children = Children(cast("Door", door), cast("HistoryReader", None))
    watching = asyncio.create_task(watch_orphans(cast("Any", Finder(*orphans)), children, 0.001))
    await until(lambda: len(door.cancelled) > 1)
    assert not watching.done()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert set(door.cancelled) == {orphans[2].execution_id}
    assert f"the child {orphans[0].execution_id} could not be cancelled" in caplog.text
