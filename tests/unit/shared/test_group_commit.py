"""Group commit's own rules: what it bounds, and what one caller's end means to the others."""

import asyncio
from collections.abc import Sequence
from uuid import uuid4

import pytest

from shared.errors import Unavailable
from shared.eventstore import group_commit
from shared.eventstore.errors import ConcurrentAppend
from shared.eventstore.event import NewEvent
from shared.eventstore.group_commit import GroupCommit, commit_units
from shared.eventstore.memory import InMemoryEventLog


class Unit:
    def __init__(self) -> None:
        self.events: Sequence[NewEvent] = [NewEvent(uuid4(), uuid4(), 1, "test.it-was.v1", b"{}", b"{}")]


class Writer:
    """A group commit on a log of its own, whose first commit waits to be let."""

    def __init__(self) -> None:
        self.log = InMemoryEventLog()
        self.may = asyncio.Event()
        self.began = asyncio.Event()
        self.sizes: list[int] = []
        self.group = GroupCommit[Unit](self.log, self._commit)

    async def _commit(self, units: Sequence[Unit]) -> int:
        self.began.set()
        await self.may.wait()
        self.sizes.append(len(units))
        return await self.log.append([e for unit in units for e in unit.events])


async def test_a_lone_append_waits_for_nobody() -> None:
    writer = Writer()
    writer.may.set()
    writer.group.start()
    assert await writer.group.append(Unit()) == 1
    assert await writer.group.append(Unit()) == 2
    assert writer.sizes == [1, 1]
    await writer.group.close()


async def test_what_came_during_a_commit_is_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "EVENT_STORE_MAX_BATCH", 4)
    writer = Writer()
    writer.group.start()
    first = asyncio.create_task(writer.group.append(Unit()))
    await writer.began.wait()
    others = [asyncio.create_task(writer.group.append(Unit())) for _ in range(6)]
    await asyncio.sleep(0)
    writer.may.set()
    assert await asyncio.gather(first, *others) == [1, 5, 5, 5, 5, 7, 7]
    assert writer.sizes == [1, 4, 2]
    await writer.group.close()


async def test_too_much_waiting_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "EVENT_STORE_MAX_QUEUED", 2)
    writer = Writer()
    writer.may.set()
    waiting = [asyncio.create_task(writer.group.append(Unit())) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await writer.group.append(Unit())
    writer.group.start()
    assert await asyncio.gather(*waiting) == [2, 2]
    await writer.group.close()


async def test_a_caller_that_gives_up_takes_nobody_with_it() -> None:
    writer = Writer()
    writer.group.start()
    leaving, staying = (asyncio.create_task(writer.group.append(Unit())) for _ in range(2))
    await writer.began.wait()
    leaving.cancel()
    writer.may.set()
    assert await staying == 2
    assert leaving.cancelled()
    await writer.group.close()


async def test_close_writes_what_is_queued() -> None:
    writer = Writer()
    writer.group.start()
    waiting = [asyncio.create_task(writer.group.append(Unit())) for _ in range(3)]
    await writer.began.wait()
    closing = asyncio.create_task(writer.group.close())
    await asyncio.sleep(0)
    writer.may.set()
    await closing
    assert [task.result() for task in waiting] == [3, 3, 3]


async def test_a_refusal_that_no_version_explains_is_not_tried_for_ever() -> None:
    log, unit, tries = InMemoryEventLog(), Unit(), 0

    async def refuse(units: Sequence[Unit]) -> int:
        nonlocal tries
        tries += 1
        raise ConcurrentAppend(frozenset(e.stream_id for e in units[0].events))

    with pytest.raises(ConcurrentAppend):
        await commit_units(log, refuse, [unit])
    assert tries == 1
