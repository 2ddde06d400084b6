"""Partitions on leases in memory: two engines share, one loses its lease, one stops, the store goes away."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from services.workflow.app import partitions as module
from services.workflow.app.partitions import Partitions
from services.workflow.app.ports import Claimed, Owners
from services.workflow.errors import EngineBusy, PartitionMoving, StoreAway
from services.workflow.metrics import EngineMetrics
from shared.bus.tasks import PARTITIONS, TaskResult, partition_of
from shared.ids import new_id
from tests.unit.workflow_engine.engine_house import House, Store, until
from tests.unit.workflow_engine.scenario import program_of, tool


class Table:
    """Who owns what. Whoever is in `dead` is not counted, whatever it does."""

    def __init__(self) -> None:
        self.living: dict[UUID, float] = {}
        self.owners: dict[int, UUID] = {}
        self.handed: set[int] = set()
        self.dead: set[UUID] = set()
        self.away = False

    def alive(self) -> list[UUID]:
        return sorted(i for i in self.living if i not in self.dead)


class Leases:
    """`Leases` on a table in memory."""

    def __init__(self, table: Table, engine_id: UUID) -> None:
        self._table = table
        self._id = engine_id

    async def renew(self) -> Owners:
        self._reached()
        self._table.living[self._id] = time.monotonic()
        alive = self._table.alive()
        return Owners(alive, {p: owner for p, owner in self._table.owners.items() if owner in alive})

    async def claim(self, partitions: Sequence[int]) -> list[Claimed]:
        self._reached()
        alive = self._table.alive()
        free = [
            p for p in partitions if self._table.owners.get(p) in {None, self._id} or self._table.owners[p] not in alive
        ]
        taken = [Claimed(p, p in self._table.handed) for p in free if self._id in alive]
        for claim in taken:
            self._table.owners[claim.partition] = self._id
            self._table.handed.discard(claim.partition)
        return taken

    async def release(self, partitions: Sequence[int]) -> None:
        self._reached()
        for partition in partitions:
            if self._table.owners.get(partition) == self._id:
                del self._table.owners[partition]
                self._table.handed.add(partition)

    async def leave(self) -> None:
        await self.release([p for p, owner in self._table.owners.items() if owner == self._id])
        self._table.living.pop(self._id, None)

    def _reached(self) -> None:
        if self._table.away:
            raise StoreAway("The event store does not answer.", retry_after=1)


class Process:
    """An engine with its share."""

    def __init__(self, house: House, table: Table) -> None:
        self.house = house
        self.id = new_id()
        self.stopping = asyncio.Event()
        metrics = EngineMetrics(CollectorRegistry())
        leases = Leases(table, self.id)
        self.partitions = Partitions(self.id, leases, house.elsewhere, house.engine, self.stopping, metrics)
        self._table = table

    def owned(self) -> set[int]:
        return {p for p, owner in self._table.owners.items() if owner == self.id}

    def decides(self) -> set[int]:
        return set(self.house.engine._held.open)


@asynccontextmanager
async def process(table: Table, store: Store) -> AsyncIterator[Process]:
    process = Process(House(program_of([tool("a"), tool("b")]), store), table)
    running = asyncio.create_task(process.partitions.run())
    try:
        yield process
        assert not running.done(), running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_S", 0.02)


def id_in(partitions: set[int]) -> UUID:
    return next(i for i in iter(new_id, None) if partition_of(i) in partitions)


async def test_one_process_takes_all_and_is_ready_then() -> None:
    async with process(Table(), Store()) as only:
        with pytest.raises(EngineBusy):
            await only.partitions.check_ready()
        await until(lambda: len(only.decides()) == PARTITIONS)
        await until(only.partitions._ready.is_set)
        await only.partitions.check_ready()


async def test_a_second_process_gets_half_with_what_is_open_there() -> None:
    table, store = Table(), Store()
    async with process(table, store) as first:
        await until(lambda: len(first.decides()) == PARTITIONS)
        runs = [(await first.house.start()).execution_id for _ in range(100)]
        sent = len(first.house.sent.tasks)
        async with process(table, store) as second:
            await until(lambda: len(second.decides()) == len(first.decides()) == PARTITIONS // 2)
            assert first.decides().isdisjoint(second.decides())
            assert first.decides() == first.house.elsewhere.opened
            for house, share in ((first.house, first.decides()), (second.house, second.decides())):
                assert {i for i in runs if partition_of(i) in share} == set(house.tracking.open)
            moved = next(i for i in runs if partition_of(i) in second.decides())
            assert first.house.engine.results([_done(moved, "a")]) == [_done(moved, "a")], "it is not the first one's"
            assert second.house.engine.results([_done(moved, "a")]) == []
            await until(lambda: [t.step_path for t in second.house.sent.tasks] == ["b"])
            with pytest.raises(PartitionMoving):
                await first.house.start(id_in(second.decides()))
            assert len(first.house.sent.tasks) == sent, "what is out is not sent again because it moved"
        await until(lambda: len(first.decides()) == PARTITIONS)


async def test_what_waits_for_a_moving_partition_is_turned_away_or_passed_on() -> None:
    table, store = Table(), Store()
    async with process(table, store) as first:
        await until(lambda: len(first.decides()) == PARTITIONS)
        run = (await first.house.start()).execution_id
        store.open.clear()
        first.house.done(run, "a", 1)
        await until(lambda: len(store.commits) == 2)
        late = first.house.cancel(run)
        await asyncio.sleep(0)
        dropping = asyncio.create_task(first.house.engine.drop({partition_of(run)}))
        await asyncio.sleep(0.01)
        assert not dropping.done(), "what is being written comes first"
        first.house.done(run, "b", 2)
        store.open.set()
        await dropping
        with pytest.raises(PartitionMoving):
            await late
        assert run not in first.house.tracking.open
        assert (await first.house.kinds(run))[-1] == "step-scheduled"


async def test_a_process_that_was_taken_over_decides_no_more_of_it() -> None:
    table, store = Table(), Store()
    async with process(table, store) as sleeper:
        await until(lambda: len(sleeper.decides()) == PARTITIONS)
        run = (await sleeper.house.start()).execution_id
        async with process(table, store) as other:
            await until(lambda: len(other.decides()) == PARTITIONS // 2)
            table.dead.add(sleeper.id)  # as its lease ran out
            await until(lambda: len(other.decides()) == PARTITIONS)
            await until(lambda: not sleeper.decides())
            await until(lambda: run in other.house.tracking.open)
            assert run not in sleeper.house.tracking.open
            await until(lambda: any(t.execution_id == run for t in other.house.sent.tasks))  # nobody knows if it is out
            table.dead.clear()
            await until(lambda: len(sleeper.decides()) == len(other.decides()) == PARTITIONS // 2)


async def test_without_a_lease_nothing_is_decided_and_with_it_again_all_goes_on() -> None:
    async with process(Table(), Store()) as only:
        await until(lambda: len(only.decides()) == PARTITIONS)
        run = (await only.house.start()).execution_id
        table = only._table
        table.away = True
        await until(lambda: only.partitions._away)
        only.house.engine.may_act_until(0.0)
        commits = len(only.house.store.commits)
        only.house.done(run, "a", 1)
        with pytest.raises(EngineBusy):
            await only.house.start()
        await asyncio.sleep(0.05)
        assert len(only.house.store.commits) == commits
        table.away = False
        await until(lambda: any(task.step_path == "b" for task in only.house.sent.tasks))
        assert len(only.decides()) == PARTITIONS


async def test_after_an_outage_the_others_are_given_time_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEADY_S", 3600.0)
    table, store = Table(), Store()
    async with process(table, store) as first, process(table, store) as second:
        await until(lambda: len(first.decides()) == len(second.decides()) == PARTITIONS // 2)
        table.away = True
        await until(lambda: first.partitions._away and second.partitions._away)
        table.dead.add(second.id)
        table.away = False
        await until(lambda: not first.partitions._away)
        await asyncio.sleep(0.1)
        assert len(first.decides()) == PARTITIONS // 2


async def test_a_stopping_process_gives_all_to_the_others_and_alone_keeps_it() -> None:
    table, store = Table(), Store()
    async with process(table, store) as first:
        async with process(table, store) as second:
            await until(lambda: len(first.decides()) == len(second.decides()) == PARTITIONS // 2)
            second.stopping.set()
            await until(lambda: len(first.decides()) == PARTITIONS)
            assert not second.decides()
            assert second.id not in table.living
            first.stopping.set()
            await asyncio.sleep(0.1)
            assert len(first.decides()) == PARTITIONS
        assert first.owned() == set(range(PARTITIONS))
    assert not table.owners, "in the end it is given back"


def _done(execution_id: UUID, path: str) -> TaskResult:
    return TaskResult(execution_id, path, 1, "ok", 1)
