"""What every `EventLog` and `EventReader` does. A subclass gives the fixtures `log` and `reader_of`."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.errors import Unavailable
from shared.eventstore.errors import ConcurrentAppend
from shared.eventstore.event import EventMeta, NewEvent, Snapshot, encode_meta
from shared.eventstore.group_commit import GroupCommit
from shared.eventstore.ports import EventLog, EventReader
from shared.limits import PAGE_MAX_BYTES
from shared.scope import TenantScope

TENANT = UUID(int=11)
STRANGER = UUID(int=12)
META = encode_meta(EventMeta("user:1", "c", "m", "t"))


def scope(tenant_id: UUID) -> TenantScope:
    return TenantScope(tenant_id, "user:1")


def events(stream_id: UUID, *versions: int, type_: str = "test.it-was.v1", tenant: UUID = TENANT) -> list[NewEvent]:
    return [NewEvent(tenant, stream_id, v, type_, b'{"v":%d}' % v, META) for v in versions]


class Unit:
    """Events that are written or refused as one."""

    def __init__(self, *written: NewEvent) -> None:
        self.events: Sequence[NewEvent] = written


class HeldCommit:
    """Commits when it is let, and says what each commit held."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.may = asyncio.Event()
        self.began = asyncio.Event()
        self.sizes: list[int] = []
        self.fails = 0

    async def __call__(self, units: Sequence[Unit]) -> int:
        self.began.set()
        await self.may.wait()
        self.sizes.append(len(units))
        if self.fails:
            self.fails -= 1
            raise Unavailable("The database is away.", retry_after=1)
        return await self._log.append([e for unit in units for e in unit.events])


async def versions_of(log: EventLog, stream_id: UUID) -> list[int]:
    return [e.version for e in (await log.read_streams([stream_id]))[stream_id]]


class EventStoreConformance:
    """Run on an empty log."""

    async def test_an_empty_log(self, log: EventLog) -> None:
        stream = uuid4()
        assert await log.last_position() == 0
        assert await log.append([]) == 0
        assert await log.read_streams([stream]) == {stream: []}
        assert await log.versions([stream]) == {}
        page = await log.read_page(0, 10)
        assert (page.upto, page.events) == (0, [])

    async def test_what_is_appended_is_read_as_it_was(self, log: EventLog) -> None:
        stream = uuid4()
        position = await log.append(events(stream, 1, 2))
        assert position == await log.last_position()
        first, second = (await log.read_streams([stream]))[stream]
        assert (first.tenant_id, first.stream_id, first.version) == (TENANT, stream, 1)
        assert (first.type, first.data, first.meta) == ("test.it-was.v1", b'{"v":1}', META)
        assert first.recorded_at.tzinfo is not None
        assert (first.position < second.position, second.position) == (True, position)
        assert second.event_id == f"{stream}.2"

    async def test_a_version_is_written_once(self, log: EventLog) -> None:
        stream = uuid4()
        await log.append(events(stream, 1))
        with pytest.raises(ConcurrentAppend) as refused:
            await log.append(events(stream, 1))
        assert refused.value.stream_ids == {stream}
        assert await versions_of(log, stream) == [1]

    async def test_a_version_is_not_written_twice_by_one_append(self, log: EventLog) -> None:
        stream = uuid4()
        with pytest.raises(ConcurrentAppend):
            await log.append(events(stream, 1, 1))
        assert await versions_of(log, stream) == []

    async def test_all_or_nothing(self, log: EventLog) -> None:
        taken, free = uuid4(), uuid4()
        await log.append(events(taken, 1))
        with pytest.raises(ConcurrentAppend):
            await log.append([*events(free, 1, 2), *events(taken, 1), *events(free, 3)])
        assert await versions_of(log, free) == []
        assert (await log.read_page(0, 100)).events == (await log.read_streams([taken]))[taken]

    async def test_of_many_writers_of_a_version_one_wins(self, log: EventLog) -> None:
        stream = uuid4()
        ended = await asyncio.gather(*(log.append(events(stream, 1)) for _ in range(10)), return_exceptions=True)
        assert sum(isinstance(e, int) for e in ended) == 1
        assert sum(isinstance(e, ConcurrentAppend) for e in ended) == 9

    async def test_versions(self, log: EventLog) -> None:
        a, b, none = uuid4(), uuid4(), uuid4()
        await log.append([*events(a, 1, 2, 3), *events(b, 1)])
        assert await log.versions([a, b, none]) == {a: 3, b: 1}

    async def test_streams_are_read_from_their_snapshots_on(self, log: EventLog) -> None:
        a, b = uuid4(), uuid4()
        await log.append([*events(a, 1, 2, 3), *events(b, 1)])
        snapshot = Snapshot(TENANT, a, 2, b"state")
        await log.save_snapshot(snapshot)
        assert await log.load_snapshots([a, b]) == {a: snapshot}
        read = await log.read_streams([a, b])
        assert {s: [e.version for e in found] for s, found in read.items()} == {a: [3], b: [1]}
        none = uuid4()
        whole = await log.read_streams([a, b, none], whole=True)
        assert {s: [e.version for e in found] for s, found in whole.items()} == {a: [1, 2, 3], b: [1], none: []}

    async def test_a_stream_asked_for_twice_is_read_once(self, log: EventLog) -> None:
        stream = uuid4()
        await log.append(events(stream, 1, 2))
        assert [e.version for e in (await log.read_streams([stream, stream]))[stream]] == [1, 2]

    async def test_an_older_snapshot_takes_no_newer_ones_place(self, log: EventLog) -> None:
        stream = uuid4()
        for version in (2, 1, 2):
            await log.save_snapshot(Snapshot(TENANT, stream, version, b"%d" % version))
        assert (await log.load_snapshots([stream]))[stream].version == 2
        await log.save_snapshot(Snapshot(TENANT, stream, 3, b"3"))
        assert (await log.load_snapshots([stream]))[stream].state == b"3"

    async def test_pages_have_every_event_once_and_in_order(self, log: EventLog) -> None:
        streams = [uuid4() for _ in range(4)]
        for version in (1, 2, 3):
            await log.append([e for s in streams for e in events(s, version)])
        taken = uuid4()
        await log.append(events(taken, 1))
        with pytest.raises(ConcurrentAppend):  # leaves a gap in the positions where there is a sequence
            await log.append(events(taken, 1))
        await log.append(events(taken, 2))
        seen, after = [], 0
        while (page := await log.read_page(after, 5)).upto > after:
            assert all(after < e.position <= page.upto for e in page.events)
            assert page.upto - after <= 5
            seen += page.events
            after = page.upto
        assert after == await log.last_position()
        assert [e.position for e in seen] == sorted({e.position for e in seen})
        expected = [(s, v) for v in (1, 2, 3) for s in streams] + [(taken, 1), (taken, 2)]
        assert [(e.stream_id, e.version) for e in seen] == expected

    async def test_a_page_of_types_reaches_as_far_without_the_others(self, log: EventLog) -> None:
        stream = uuid4()
        for version, kind in enumerate("abac", 1):
            await log.append(events(stream, version, type_=f"test.{kind}.v1"))
        page = await log.read_page(0, 100, ["test.a.v1", "test.c.v1"])
        assert ([e.version for e in page.events], page.upto) == ([1, 3, 4], await log.last_position())
        nothing = await log.read_page(0, 100, ["test.z.v1"])
        assert (nothing.events, nothing.upto) == ([], page.upto)

    @pytest.mark.parametrize("types", [[], ["test.large.v1"]])
    async def test_a_page_is_bounded_in_bytes(self, log: EventLog, types: list[str]) -> None:
        large, stream = b'"' + b"x" * (PAGE_MAX_BYTES // 3) + b'"', uuid4()
        for version in range(1, 8):
            await log.append([NewEvent(TENANT, stream, version, "test.large.v1", large, META)])
        sizes, more, after = [], [], 0
        while (page := await log.read_page(after, 100, types)).upto > after:
            sizes.append(len(page.events))
            more.append(page.more)
            after = page.upto
        assert sizes == [3, 3, 1]
        assert more == [True, True, False]
        assert after == await log.last_position()

    async def test_checkpoints(self, log: EventLog) -> None:
        assert await log.read_checkpoint("relay") == 0
        await log.save_checkpoint("relay", 5)
        await log.save_checkpoint("other", 7)
        await log.save_checkpoint("relay", 6)
        assert [await log.read_checkpoint(name) for name in ("relay", "other")] == [6, 7]

    async def test_a_reader_sees_its_own_tenant_alone(self, log: EventLog, reader: EventReader) -> None:
        mine, theirs = uuid4(), uuid4()
        await log.append([*events(mine, 1, 2, 3, 4), *events(theirs, 1, tenant=STRANGER)])
        assert [e.version for e in await reader.read_stream(scope(TENANT), mine)] == [1, 2, 3, 4]
        assert [e.version for e in await reader.read_stream(scope(TENANT), mine, after=1, upto=3)] == [2, 3]
        assert [e.version for e in await reader.read_stream(scope(TENANT), mine, after=1, limit=1)] == [2]
        assert await reader.read_stream(scope(TENANT), theirs) == []
        assert await reader.read_stream(scope(STRANGER), mine) == []

    async def test_appends_that_come_together_are_committed_together(self, log: EventLog) -> None:
        commit = HeldCommit(log)
        group = GroupCommit[Unit](log, commit)
        group.start()
        streams = [uuid4() for _ in range(201)]
        waiting = [asyncio.create_task(group.append(Unit(*events(s, 1, 2)))) for s in streams]
        commit.may.set()
        positions = await asyncio.gather(*waiting)
        await group.close()
        assert len(commit.sizes) < 5
        assert max(positions) == await log.last_position()
        assert await log.versions(streams) == dict.fromkeys(streams, 2)

    async def test_who_loses_its_stream_is_refused_alone(self, log: EventLog) -> None:
        taken = uuid4()
        await log.append(events(taken, 1))
        ended, streams = await self._commit_at_once(log, [[(taken, 1)], *[[(uuid4(), 1)] for _ in range(50)]])
        assert isinstance(ended[0], ConcurrentAppend)
        assert ended[0].stream_ids == {taken}
        assert all(isinstance(e, int) for e in ended[1:])
        assert await log.versions(streams) == dict.fromkeys(streams, 1)

    async def test_of_two_units_of_one_commit_for_one_version_the_first_wins(self, log: EventLog) -> None:
        stream = uuid4()
        ended, _ = await self._commit_at_once(log, [[(stream, 1)], [(stream, 1)], [(uuid4(), 1)]])
        assert [isinstance(e, ConcurrentAppend) for e in ended] == [False, True, False]

    async def test_what_was_decided_on_a_refused_unit_is_refused_too(self, log: EventLog) -> None:
        taken, beside, later = uuid4(), uuid4(), uuid4()
        await log.append(events(taken, 1))
        units = [[(taken, 1), (beside, 1)], [(taken, 2)], [(beside, 2), (later, 1)], [(later, 2)], [(uuid4(), 1)]]
        ended, _ = await self._commit_at_once(log, units)
        assert [isinstance(e, ConcurrentAppend) for e in ended] == [True, True, True, True, False]
        assert await log.versions([taken, beside, later]) == {taken: 1}

    @pytest.mark.parametrize("fails", [0, 1])
    async def test_what_waits_behind_a_refused_unit_is_refused_too(self, log: EventLog, fails: int) -> None:
        stream, other = uuid4(), uuid4()
        commit = HeldCommit(log)
        commit.fails = fails
        group = GroupCommit[Unit](log, commit)
        group.start()
        first = asyncio.create_task(group.append(Unit(*events(stream, 1))))
        await commit.began.wait()
        # Another process is faster, and what follows from our first unit is queued for the next commit.
        await log.append(events(stream, 1))
        behind = [asyncio.create_task(group.append(Unit(*events(s, v)))) for s, v in ((stream, 2), (other, 1))]
        await asyncio.sleep(0)
        commit.may.set()
        ended = await asyncio.gather(first, *behind, return_exceptions=True)
        await group.close()
        assert isinstance(ended[0], Unavailable if fails else ConcurrentAppend)
        assert isinstance(ended[1], ConcurrentAppend)
        assert isinstance(ended[2], int)
        assert await log.versions([stream, other]) == {stream: 1, other: 1}

    async def test_a_closed_writer_refuses(self, log: EventLog) -> None:
        group = GroupCommit[Unit](log, HeldCommit(log))
        group.start()
        await group.close()
        with pytest.raises(Unavailable):
            await asyncio.wait_for(group.append(Unit(*events(uuid4(), 1))), 2)

    async def _commit_at_once(self, log: EventLog, units: list[list[tuple[UUID, int]]]) -> tuple[list[Any], list[UUID]]:
        """Append units that are all in one commit; return how each ended, and their streams."""
        commit = HeldCommit(log)
        commit.may.set()
        group = GroupCommit[Unit](log, commit)
        made = [Unit(*(e for stream, version in unit for e in events(stream, version))) for unit in units]
        waiting = [asyncio.create_task(group.append(unit)) for unit in made]
        await asyncio.sleep(0)
        group.start()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        await group.close()
        assert commit.sizes[0] == len(units)
        return ended, [stream for unit in units for stream, _ in unit]
