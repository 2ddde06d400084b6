"""Who holds a slot, on a real Postgres: many callers at once, what ended, what never began, what was paused."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from services.workflow.adapters.slots import PostgresSlots
from services.workflow.app.slots import SlotKey, SlotTaken, SlotWanted
from services.workflow.domain.language.concurrency import WhenFull
from shared.db.pool import open_worker_pool
from shared.ids import new_id
from tests.conftest import Backbone

pytestmark = pytest.mark.asyncio(loop_scope="session")

TENANT = UUID(int=7)
NEVER_S = 3600.0
PATIENCE_S = 120.0
BEGIN = """
    INSERT INTO workflow.executions (tenant_id, id, workflow_id, workflow_revision, status, started_at, version)
    VALUES ($1, $2, $3, 1, $4, now(), 1) ON CONFLICT (id) DO NOTHING"""
STATUS = "UPDATE workflow.executions SET status = $2, version = version + 1 WHERE id = $1"
END = "UPDATE workflow.executions SET status = 'completed', completed_at = now(), version = version + 1 WHERE id = $1"
HOLDERS = "SELECT execution_id FROM workflow.concurrency_slots WHERE workflow_id = $1 AND state = 'holding'"
ALL = "SELECT execution_id FROM workflow.concurrency_slots WHERE workflow_id = $1 ORDER BY arrival"


class Place:
    """One workflow with a concurrency key, and executions that a test begins and ends by hand."""

    def __init__(self, pool: "asyncpg.Pool[Any]", when_full: WhenFull = "queue", limit: int = 1) -> None:
        self.pool = pool
        self.slots = PostgresSlots(pool, unused_s=NEVER_S)
        self.key = SlotKey(TENANT, new_id(), "k")
        self.when_full: WhenFull = when_full
        self.limit = limit

    async def take(
        self, id_: UUID, *, priority: int = 5, again: bool = False, slots: PostgresSlots | None = None
    ) -> SlotTaken:
        wanted = SlotWanted(
            TENANT, self.key.workflow_id, self.key.key, id_, self.limit, self.when_full, priority, again
        )
        return await (slots or self.slots).take(wanted)

    async def begin(self, id_: UUID, status: str = "running") -> None:
        await self.pool.execute(BEGIN, TENANT, id_, self.key.workflow_id, status)

    async def started(self, *, priority: int = 5) -> UUID:
        """Ask for a slot and begin as the answer says."""
        id_ = new_id()
        taken = await self.take(id_, priority=priority)
        await self.begin(id_, "running" if taken.outcome == "holding" else "pending")
        return id_

    async def status(self, id_: UUID, status: str) -> None:
        await self.pool.execute(STATUS, id_, status)

    async def end(self, id_: UUID) -> None:
        await self.pool.execute(END, id_)

    async def holders(self) -> list[UUID]:
        return [row[0] for row in await self.pool.fetch(HOLDERS, self.key.workflow_id)]

    async def known(self) -> list[UUID]:
        return [row[0] for row in await self.pool.fetch(ALL, self.key.workflow_id)]

    async def movable(self) -> bool:
        return self.key in await self.slots.movable()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pool(backbone: Backbone) -> AsyncIterator["asyncpg.Pool[Any]"]:
    pool = await open_worker_pool(backbone.working_dsn("workflow"), name="slots-test")
    yield pool
    await pool.close()


@pytest.mark.parametrize(("limit", "callers", "seed"), [(1, 50, 1), (5, 50, 2), (7, 50, 3)])
async def test_never_more_than_the_limit_run_however_many_ask_at_once(
    pool: "asyncpg.Pool[Any]", limit: int, callers: int, seed: int
) -> None:
    place, draw = Place(pool, limit=limit), random.Random(seed)
    running: set[UUID] = set()
    ran: set[UUID] = set()
    most = 0

    async def run(id_: UUID) -> None:
        nonlocal most
        running.add(id_)
        most = max(most, len(running))
        await asyncio.sleep(draw.random() / 200)
        ran.add(id_)
        running.discard(id_)  # before the row says so: a slot is free only after that
        await place.end(id_)
        await admit(await place.slots.settle(place.key))

    async def admit(ids: list[UUID]) -> None:
        for id_ in ids:
            await place.status(id_, "running")
        await asyncio.gather(*(run(id_) for id_ in ids))

    async def caller() -> None:
        for _ in range(4):
            id_ = new_id()
            taken = await place.take(id_)
            await admit(taken.admitted)
            await place.begin(id_, "running" if taken.outcome == "holding" else "pending")
            if taken.outcome == "holding":
                await run(id_)
            else:
                await admit(await place.slots.settle(place.key))

    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*(caller() for _ in range(callers)))
        await admit(await place.slots.settle(place.key))
    assert len(ran) == callers * 4
    assert 0 < most <= limit
    await place.slots.clear_out(place.key)
    assert await place.known() == []


async def test_asked_again_the_answer_is_the_same(pool: "asyncpg.Pool[Any]") -> None:
    place = Place(pool)
    first, second = new_id(), new_id()
    answers = await asyncio.gather(*(place.take(first) for _ in range(10)))
    assert {answer.outcome for answer in answers} == {"holding"}
    assert [(await place.take(second)).outcome for _ in range(3)] == ["queued"] * 3
    await place.begin(first)
    assert (await place.take(first)).outcome == "known"
    assert await place.known() == [first, second]


async def test_an_execution_that_ended_takes_no_slot_when_its_start_comes_again(pool: "asyncpg.Pool[Any]") -> None:
    place = Place(pool, "cancel_oldest")
    done = await place.started()
    await place.end(done)
    runs = await place.started()
    again = await place.take(done)
    assert (again.outcome, again.leaving) == ("known", [])
    assert await place.known() == [runs]


async def test_who_waits_goes_on_by_priority_and_then_by_arrival(pool: "asyncpg.Pool[Any]") -> None:
    place = Place(pool)
    holder = await place.started()
    low, middle, also_middle, high = [await place.started(priority=p) for p in (2, 5, 5, 9)]
    order = []
    for _ in range(4):
        assert not await place.movable()
        await place.end(holder)
        assert await place.movable()
        [holder] = await place.slots.settle(place.key)
        await place.status(holder, "running")
        order.append(holder)
    assert order == [high, middle, also_middle, low]


async def test_a_newcomer_does_not_go_before_who_waits(pool: "asyncpg.Pool[Any]") -> None:
    place = Place(pool)
    holder, waiting = await place.started(), new_id()
    assert (await place.take(waiting)).outcome == "queued"
    await place.end(holder)
    assert await place.slots.settle(place.key) == [], "its start is not recorded yet, and the slot stays free"
    await place.begin(waiting, "pending")
    taken = await place.take(new_id())
    assert (taken.outcome, taken.admitted) == ("queued", [waiting])


async def test_one_that_is_cancelled_in_the_queue_leaves_it(pool: "asyncpg.Pool[Any]") -> None:
    place = Place(pool)
    holder = await place.started()
    cancelled, waiting = await place.started(), await place.started()
    await place.end(cancelled)
    assert place.key in await place.slots.stale()
    assert await place.slots.clear_out(place.key) == []
    assert await place.known() == [holder, waiting]
    await place.end(holder)
    assert await place.slots.settle(place.key) == [waiting]


async def test_one_that_is_paused_in_the_queue_keeps_its_place_and_holds_nobody_up(pool: "asyncpg.Pool[Any]") -> None:
    place = Place(pool)
    holder = await place.started()
    paused, other = await place.started(), await place.started()
    await place.status(paused, "paused")
    await place.end(holder)
    assert await place.slots.settle(place.key) == [other]
    await place.status(other, "running")
    await place.status(paused, "pending")
    await place.end(other)
    assert await place.slots.settle(place.key) == [paused]


async def test_one_whose_start_is_not_recorded_yet_is_not_admitted(pool: "asyncpg.Pool[Any]") -> None:
    place = Place(pool)
    holder = await place.started()
    waiting = new_id()
    assert (await place.take(waiting)).outcome == "queued"
    await place.end(holder)
    assert not await place.movable()
    assert await place.slots.settle(place.key) == []
    await place.begin(waiting, "pending")
    assert await place.movable()
    assert await place.slots.settle(place.key) == [waiting]


async def test_a_slot_with_which_nothing_began_is_given_on(pool: "asyncpg.Pool[Any]") -> None:
    place = Place(pool)
    lost = new_id()
    assert (await place.take(lost)).outcome == "holding"
    waiting = await place.started()
    assert await place.slots.clear_out(place.key) == []
    impatient = PostgresSlots(pool, unused_s=0)
    assert place.key in await impatient.stale()
    assert await impatient.clear_out(place.key) == [waiting]
    assert await place.known() == [waiting]


async def test_a_place_in_the_queue_with_which_nothing_began_lapses(pool: "asyncpg.Pool[Any]") -> None:
    place = Place(pool)
    holder = await place.started()
    assert (await place.take(new_id())).outcome == "queued"
    await PostgresSlots(pool, unused_s=0).clear_out(place.key)
    assert await place.known() == [holder]


async def test_reject_takes_nothing(pool: "asyncpg.Pool[Any]") -> None:
    place = Place(pool, "reject", 2)
    first, second = await place.started(), await place.started()
    assert (await place.take(new_id())).outcome == "full"
    await place.end(first)
    assert (await place.take(new_id())).outcome == "holding"
    assert first not in await place.known()
    assert second in await place.holders()


async def test_the_queue_is_bounded_and_who_left_it_does_not_count(pool: "asyncpg.Pool[Any]") -> None:
    place = Place(pool)
    place.slots = PostgresSlots(pool, unused_s=NEVER_S, max_queued=3)
    await place.started()
    waiting = [await place.started() for _ in range(3)]
    refused = new_id()
    assert (await place.take(refused)).outcome == "queue_full"
    assert refused not in await place.known()
    await place.end(waiting[1])
    assert (await place.take(refused)).outcome == "queued"


async def test_the_newest_stay_and_the_oldest_leave(pool: "asyncpg.Pool[Any]") -> None:
    place = Place(pool, "cancel_oldest", 2)
    oldest, older = await place.started(), await place.started()
    third, fourth, fifth = new_id(), new_id(), new_id()
    taken = await place.take(third)
    assert (taken.outcome, taken.leaving) == ("queued", [oldest])
    await place.begin(third, "pending")
    assert (await place.take(fourth)).leaving == [older]
    await place.begin(fourth, "pending")
    assert (await place.take(fifth)).leaving == [third], "one that waits leaves like one that runs"
    await place.begin(fifth, "pending")
    leaving = {found.execution_id for found in await place.slots.leaving()}
    assert {oldest, older, third} <= leaving
    assert await place.slots.settle(place.key) == [], "they run until they have ended"
    for ended in (oldest, older, third):
        await place.end(ended)
    assert set(await place.slots.settle(place.key)) == {fourth, fifth}
    assert set(await place.holders()) == {fourth, fifth}


async def test_a_retry_takes_a_slot_and_never_waits_for_one(pool: "asyncpg.Pool[Any]") -> None:
    place = Place(pool)
    failed = await place.started()
    await place.end(failed)
    other = await place.started()
    assert (await place.take(failed, again=True)).outcome == "full"
    await place.end(other)
    assert (await place.take(failed, again=True)).outcome == "holding"
    assert (await place.take(failed, again=True)).outcome == "holding"
    assert (await place.take(new_id())).outcome == "queued", "it has the slot though its row still says that it ended"
    assert failed in await place.holders()
    await place.pool.execute(
        "UPDATE workflow.executions SET status = 'running', completed_at = NULL, version = 9 WHERE id = $1", failed
    )
    assert (await place.take(failed, again=True)).outcome == "known"
    await place.end(failed)
    assert place.key in await place.slots.stale()


async def test_the_slot_of_a_retry_that_was_refused_is_given_back(pool: "asyncpg.Pool[Any]") -> None:
    place = Place(pool)
    failed = await place.started()
    await place.end(failed)
    await place.take(failed, again=True)
    await place.slots.give_back(failed)
    assert await place.known() == []
    runs = await place.started()
    await place.slots.give_back(runs)
    assert await place.holders() == [runs], "what has begun gives nothing back"


async def test_the_limit_of_the_last_start_counts_for_all_who_wait(pool: "asyncpg.Pool[Any]") -> None:
    place = Place(pool)
    first, second, third = await place.started(), await place.started(), await place.started()
    place.limit = 2
    fourth = new_id()
    taken = await place.take(fourth)
    assert (taken.outcome, taken.admitted) == ("queued", [second])
    await place.begin(fourth, "pending")
    await place.status(second, "running")
    place.limit = 1
    fifth = await place.started()
    await place.end(first)
    assert await place.slots.settle(place.key) == [], "one runs, and that is as many as may now"
    await place.end(second)
    assert await place.slots.settle(place.key) == [third]
    assert await place.known() == [third, fourth, fifth]


async def test_keys_are_found_one_after_another(pool: "asyncpg.Pool[Any]") -> None:
    places = [Place(pool) for _ in range(10)]
    holders = [await place.started() for place in places]
    for place in places:
        await place.started()
    for place, holder in zip(places[::2], holders[::2], strict=True):
        await place.end(holder)
    movable = [key for key in await places[0].slots.movable() if key in [place.key for place in places]]
    assert sorted(movable, key=str) == sorted((place.key for place in places[::2]), key=str)
    assert await places[0].slots.is_anybody_queued()
