"""Group commit's own rules: what it bounds, and what one caller's end means to the others."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.errors import Unavailable
from shared.eventstore import group_commit
from shared.eventstore.errors import ConcurrentAppend
from shared.eventstore.event import NewEvent
from shared.eventstore.group_commit import GroupCommit, commit_units
from shared.eventstore.memory import InMemoryEventLog


class Unit:
    def __init__(self, stream: UUID | None = None, version: int = 1, data: bytes = b"{}") -> None:
        self.events: Sequence[NewEvent] = [NewEvent(uuid4(), stream or uuid4(), version, "test.it-was.v1", data, b"{}")]


class BadRow(Exception):
    """What a store says of data that it cannot take."""


BAD = b"bad"


class Writer:
    """A group commit on a log of its own, whose first commit waits to be let."""

    def __init__(self) -> None:
        self.log = InMemoryEventLog()
        self.may = asyncio.Event()
        self.began = asyncio.Event()
        self.sizes: list[int] = []
        self.outages = 0
        self.group = GroupCommit[Unit](self.log, self._commit, blames_a_unit=lambda error: isinstance(error, BadRow))

    async def at_once(self, *units: Unit) -> list[Any]:
        """Append units that are all in one commit; return how each ended."""
        self.may.set()
        waiting = [asyncio.create_task(self.group.append(unit)) for unit in units]
        await asyncio.sleep(0)
        self.group.start()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        await self.group.close()
        return ended

    async def _commit(self, units: Sequence[Unit]) -> int:
        self.began.set()
        await self.may.wait()
        self.sizes.append(len(units))
        if self.outages:
            self.outages -= 1
            raise ConnectionResetError
        if any(event.data == BAD for unit in units for event in unit.events):
            raise BadRow
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


async def test_a_unit_that_the_store_cannot_take_is_refused_alone() -> None:
    writer = Writer()
    units = [Unit(), Unit(data=BAD), *(Unit() for _ in range(3))]
    ended = await writer.at_once(*units)
    assert [type(end) for end in ended] == [int, BadRow, int, int, int]
    assert writer.sizes == [5, 1, 1, 1, 1, 1]
    streams = [unit.events[0].stream_id for unit in units]
    assert await writer.log.versions(streams) == {stream: 1 for stream in streams if stream != streams[1]}


async def test_what_was_decided_on_a_unit_that_the_store_cannot_take_is_refused_too() -> None:
    writer = Writer()
    stream, other = uuid4(), uuid4()
    ended = await writer.at_once(
        Unit(stream), Unit(other), Unit(stream, 2, BAD), Unit(stream, 3), Unit(other, 2), Unit(stream, 2)
    )
    # The last one's version is free, and yet it may have been decided on the third one.
    assert [type(end) for end in ended] == [int, int, BadRow, ConcurrentAppend, int, ConcurrentAppend]
    assert await writer.log.versions([stream, other]) == {stream: 1, other: 2}


async def test_an_outage_is_everybodys() -> None:
    writer = Writer()
    writer.outages = 1
    ended = await writer.at_once(Unit(), Unit())
    assert [type(end) for end in ended] == [ConnectionResetError, ConnectionResetError]
    assert writer.sizes == [2]


async def test_what_comes_while_units_are_written_one_by_one_waits_its_turn() -> None:
    writer = Writer()
    waiting = [asyncio.create_task(writer.group.append(unit)) for unit in (Unit(), Unit(data=BAD), Unit())]
    await asyncio.sleep(0)
    writer.group.start()
    await writer.began.wait()
    later = asyncio.create_task(writer.group.append(Unit()))
    await asyncio.sleep(0)
    writer.may.set()
    ended = await asyncio.gather(*waiting, later, return_exceptions=True)
    assert [type(end) for end in ended] == [int, BadRow, int, int]
    assert writer.sizes == [3, 1, 1, 1, 1]
    await writer.group.close()
