"""Executions with a concurrency key through the engine's door on a real Postgres; processes that die between steps."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from services.workflow.adapters.slots import PostgresSlotReads, PostgresSlots
from services.workflow.adapters.transitions import PostgresTransitions
from services.workflow.app.admission import Admission
from services.workflow.app.admitting import Admitting
from services.workflow.app.items import Accepted, Control
from services.workflow.app.slots import SlotKey, SlotTaken, SlotWanted
from services.workflow.app.starting import Executions, Request
from services.workflow.domain import commands as c
from services.workflow.domain.language.program import Program
from services.workflow.errors import ConcurrencyLimit
from shared.db.pool import TenantPool, open_pool, open_worker_pool
from shared.eventstore.postgres import PostgresEventLog, PostgresEventReader
from shared.ids import new_id
from shared.scope import TenantScope
from shared.tail.waker import Waker
from tests.conftest import Backbone
from tests.unit.workflow_engine.engine_house import House
from tests.unit.workflow_engine.scenario import TENANT, WORKFLOW, program_of, tool

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATIENCE_S = 60.0
STATUS = "SELECT status FROM workflow.executions WHERE id = $1"
RUNNING = "SELECT count(*) FROM workflow.executions WHERE completed_at IS NULL AND status <> 'pending'"
SLOTS = "SELECT count(*) FROM workflow.concurrency_slots"
EMPTY = "TRUNCATE workflow.events, workflow.executions, workflow.snapshots, workflow.concurrency_slots"


class Killed(BaseException):
    """The process is gone: nothing catches this."""


class Dying(PostgresSlots):
    """Slots of a process that dies before or after one of its steps."""

    before: str | None = None
    after: str | None = None

    async def take(self, wanted: SlotWanted) -> SlotTaken:
        self._at(self.before, "take")
        taken = await super().take(wanted)
        self._at(self.after, "take")
        return taken

    async def settle(self, key: SlotKey) -> list[UUID]:
        self._at(self.before, "settle")
        admitted = await super().settle(key)
        self._at(self.after, "settle")
        return admitted

    def _at(self, chosen: str | None, step: str) -> None:
        if chosen == step:
            raise Killed


class Process:
    """An engine, its door and who looks after the slots, of one process."""

    def __init__(self, house: House, pool: "asyncpg.Pool[Any]", reader: PostgresEventReader, unused_s: float) -> None:
        self.house = house
        self.pool = pool
        self.slots = Dying(pool, unused_s=unused_s)
        admission = Admission(self.slots, house.engine, house.programs, reader)
        self.door = Executions(house.engine, house.programs, reader, admission)
        self.waker = Waker("workflow")
        self.admitting = Admitting(self.slots, self.tell, self.waker)
        self.deaf = False
        self.told: list[tuple[UUID, Control]] = []

    async def tell(self, execution_id: UUID, tenant_id: UUID, command: Control, actor: str) -> Accepted:
        if self.deaf:
            raise Killed
        self.told.append((execution_id, command))
        return await self.door.control(execution_id, tenant_id, command, actor)

    async def start(self, execution_id: UUID | None = None, priority: int = 5) -> Accepted:
        request = Request(
            execution_id or new_id(), TENANT, "w", None, {"k": "key"}, {}, "test", "user:test", None, priority
        )
        return await self.door.start(request)

    async def status(self, execution_id: UUID) -> str | None:
        found: str | None = await self.pool.fetchval(STATUS, execution_id)
        return found

    async def until(self, execution_id: UUID, *statuses: str | None) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while await self.status(execution_id) not in statuses:
                await asyncio.sleep(0.01)

    async def finish(self, execution_id: UUID) -> None:
        await self.until(execution_id, "running")
        self.house.done(execution_id, "a")
        await self.until(execution_id, "completed")


class Town:
    """Starts processes on one database."""

    def __init__(self, pool: "asyncpg.Pool[Any]", tenants: TenantPool) -> None:
        self.pool = pool
        self.tenants = tenants

    @asynccontextmanager
    async def process(self, program: Program, unused_s: float = 3600.0) -> AsyncIterator[Process]:
        log = PostgresEventLog(self.pool)
        house = House(program, PostgresTransitions(self.pool, log))
        async with house:
            yield Process(house, self.pool, PostgresEventReader(self.tenants), unused_s)


def program(when_full: str = "queue", limit: int = 1) -> Program:
    rule = {"key": "{input.k}", "limit": limit, "when_full": when_full}
    return program_of([tool("a")], concurrency=rule)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pools(backbone: Backbone) -> AsyncIterator[tuple["asyncpg.Pool[Any]", TenantPool]]:
    pool = await open_worker_pool(backbone.working_dsn("workflow"), name="faults-test")
    tenants = TenantPool(await open_pool(backbone.serving_dsn("workflow"), name="faults-test"))
    yield pool, tenants
    await pool.close()
    await tenants.close()


@pytest_asyncio.fixture(loop_scope="session")
async def town(backbone: Backbone, pools: tuple["asyncpg.Pool[Any]", TenantPool]) -> AsyncIterator[Town]:
    admin = await asyncpg.connect(backbone.admin_dsn)
    await admin.execute(EMPTY)
    yield Town(*pools)
    await admin.execute(EMPTY)
    await admin.close()


async def test_who_waits_is_pending_and_goes_on_when_the_one_before_has_ended(town: Town) -> None:
    async with town.process(program()) as here:
        first, second = await here.start(), await here.start()
        assert (first.status, second.status) == ("running", "pending")
        scope = TenantScope(TENANT, "user:test")
        place = await PostgresSlotReads(town.tenants).place(scope, second.execution_id)
        assert place is not None
        assert (place.key, place.position) == ("key", 1)
        assert not await here.admitting.look()
        await here.finish(first.execution_id)
        assert await here.admitting.look()
        assert await PostgresSlotReads(town.tenants).place(scope, second.execution_id) is None
        await here.finish(second.execution_id)


async def test_a_place_in_the_queue_is_shown_to_its_tenant_only(town: Town) -> None:
    async with town.process(program()) as here:
        first, second = await here.start(), await here.start()
        reads = PostgresSlotReads(town.tenants)
        assert await reads.place(TenantScope(new_id(), "user:other"), second.execution_id) is None
        for run in (first, second):
            await here.door.control(run.execution_id, TENANT, c.Terminate(0, "over"), "user:test")


async def test_a_thousand_starts_drain_ten_at_a_time(town: Town) -> None:
    limit = 10
    async with town.process(program(limit=limit)) as here:
        looking = asyncio.create_task(here.admitting.run())
        most = 0

        async def work() -> None:
            nonlocal most
            done = 0
            while True:
                tasks = here.house.sent.tasks[done:]
                done += len(tasks)
                most = max(most, await town.pool.fetchval(RUNNING))
                for task in tasks:
                    here.house.done(task.execution_id, "a", attempt=task.attempt)
                if tasks:
                    here.waker.wake()
                await asyncio.sleep(0.002)

        working = asyncio.create_task(work())
        runs = await asyncio.gather(*(here.start() for _ in range(1_000)))
        async with asyncio.timeout(PATIENCE_S * 2):
            for run in runs:
                while await here.status(run.execution_id) != "completed":
                    here.waker.wake()
                    await asyncio.sleep(0.01)
        for task in (looking, working):
            task.cancel()
        await asyncio.gather(looking, working, return_exceptions=True)
        assert most <= limit
        admitted = [id_ for id_, command in here.told if isinstance(command, c.Admit)]
        assert len(admitted) <= len(set(admitted)) + 50, (
            "each is told once, but for what the look for lost words repeats"
        )
        await here.admitting.sweep()
        assert await town.pool.fetchval(SLOTS) == 0


@pytest.mark.parametrize(("before", "after"), [("take", None), (None, "take")])
async def test_killed_around_taking_the_slot(town: Town, before: str | None, after: str | None) -> None:
    lost = new_id()
    async with town.process(program()) as dying:
        dying.slots.before, dying.slots.after = before, after
        with pytest.raises(Killed):
            await dying.start(lost)
    async with town.process(program(), unused_s=0) as successor:
        waiting = await successor.start()
        await successor.admitting.sweep()
        await successor.finish(waiting.execution_id)
        await successor.admitting.sweep()
        assert await town.pool.fetchval(SLOTS) == 0


async def test_killed_after_taking_the_slot_and_the_command_comes_again(town: Town) -> None:
    lost = new_id()
    async with town.process(program()) as dying:
        dying.slots.after = "take"
        with pytest.raises(Killed):
            await dying.start(lost)
    async with town.process(program()) as successor:
        assert (await successor.start()).status == "pending"
        assert (await successor.start(lost)).status == "running", "the slot was kept for it"
        await successor.finish(lost)
        await end_all(successor)


async def test_killed_between_an_end_and_the_settling(town: Town) -> None:
    async with town.process(program()) as dying:
        first, second = await dying.start(), await dying.start()
        await dying.finish(first.execution_id)
        dying.slots.before = "settle"
        with pytest.raises(Killed):
            await dying.admitting.look()
    async with town.process(program()) as successor:
        assert await successor.admitting.look()
        await successor.finish(second.execution_id)
        await end_all(successor)


async def test_killed_between_giving_a_slot_and_telling_who_has_it(town: Town) -> None:
    async with town.process(program()) as dying:
        first, second = await dying.start(), await dying.start()
        await dying.finish(first.execution_id)
        dying.slots.after = "settle"
        with pytest.raises(Killed):
            await dying.admitting.look()
        assert await dying.status(second.execution_id) == "pending"
    async with town.process(program()) as successor:
        assert not await successor.admitting.look()
        assert await successor.status(second.execution_id) == "pending"
        await successor.admitting.sweep()
        await successor.finish(second.execution_id)
        await end_all(successor)


async def test_killed_between_taking_a_place_and_cancelling_the_oldest(town: Town) -> None:
    async with town.process(program("cancel_oldest")) as dying:
        oldest = await dying.start()
        newest = new_id()
        dying.slots.after = "take"
        with pytest.raises(Killed):
            await dying.start(newest)
    async with town.process(program("cancel_oldest")) as successor:
        assert (await successor.start(newest)).status == "pending"
        await successor.admitting.sweep()
        await successor.until(oldest.execution_id, "cancelled")
        assert await successor.admitting.look()
        await successor.finish(newest)
        await end_all(successor)


async def test_the_newest_takes_the_place_of_the_oldest(town: Town) -> None:
    async with town.process(program("cancel_oldest")) as here:
        oldest, middle, newest = await here.start(), await here.start(), await here.start()
        assert await here.status(oldest.execution_id) == "cancelled"
        assert await here.status(middle.execution_id) == "cancelled"
        await here.admitting.look()
        await here.finish(newest.execution_id)
        await end_all(here)


async def test_a_refused_start_leaves_nothing(town: Town) -> None:
    async with town.process(program("reject")) as here:
        first = await here.start()
        refused = new_id()
        with pytest.raises(ConcurrencyLimit, match="key"):
            await here.start(refused)
        assert await here.status(refused) is None
        await here.finish(first.execution_id)
        assert (await here.start(refused)).status == "running"
        await here.finish(refused)
        await end_all(here)


async def test_a_retry_needs_a_slot(town: Town) -> None:
    async with town.process(program()) as here:
        first = await here.start()
        await here.door.control(first.execution_id, TENANT, c.Cancel(0, "why"), "user:test")
        second = await here.start()
        assert second.status == "running"
        with pytest.raises(ConcurrencyLimit):
            await here.door.control(first.execution_id, TENANT, c.Retry(0), "user:test")
        await here.finish(second.execution_id)
        again = await here.door.control(first.execution_id, TENANT, c.Retry(0), "user:test")
        assert again.status == "running"
        assert (await here.start()).status == "pending"
        await end_all(here)


async def test_a_pause_keeps_the_slot_and_one_paused_in_the_queue_begins_when_it_is_resumed(town: Town) -> None:
    async with town.process(program()) as here:
        first, second = await here.start(), await here.start()
        await tell(here, c.Pause(0, "why"), first.execution_id, second.execution_id)
        assert not await here.admitting.look()
        await tell(here, c.Resume(0), first.execution_id)
        await here.finish(first.execution_id)
        assert not await here.admitting.look(), "it is paused"
        await tell(here, c.Resume(0), second.execution_id)
        assert await here.admitting.look()
        await here.finish(second.execution_id)
        await end_all(here)


async def tell(here: Process, command: Control, *executions: UUID) -> None:
    for execution_id in executions:
        await here.door.control(execution_id, TENANT, command, "user:test")


async def end_all(here: Process) -> None:
    """End what still runs, and see that no slot is left."""
    open_ = "SELECT id FROM workflow.executions WHERE completed_at IS NULL AND workflow_id = $1"
    ids: Sequence[Any] = await here.pool.fetch(open_, WORKFLOW)
    await tell(here, c.Terminate(0, "over"), *(row[0] for row in ids))
    await here.admitting.sweep()
    assert await here.pool.fetchval(SLOTS) == 0
