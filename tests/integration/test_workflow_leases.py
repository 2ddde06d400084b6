"""Leases of partitions on a real Postgres: who lives, who owns, and who is found dead at once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from services.workflow.adapters import leases as adapter
from services.workflow.adapters.leases import PostgresLeases
from shared.bus.tasks import PARTITIONS, partition_of
from shared.db.pool import open_worker_pool
from shared.ids import derived_id, new_id
from tests.conftest import Backbone

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATIENCE_S = 30.0
ALL = list(range(PARTITIONS))


class Engine:
    """One process's leases on a pool of its own, as a process has it."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self.pool = pool
        self.id = new_id()
        self.leases = PostgresLeases(pool, self.id, "test")

    async def claim(self, *partitions: int) -> dict[int, bool]:
        return {claim.partition: claim.handed for claim in await self.leases.claim(partitions)}


@pytest_asyncio.fixture(loop_scope="session")
async def two(backbone: Backbone) -> AsyncIterator[tuple[Engine, Engine]]:
    pools = [await open_worker_pool(backbone.working_dsn("workflow"), name="test-leases") for _ in range(2)]
    first, second = (Engine(pool) for pool in pools)
    await first.leases.renew()
    await second.leases.renew()
    yield first, second
    for engine in (first, second):
        await engine.leases.leave()
        await engine.pool.close()


async def test_a_living_engines_partitions_are_its_own(two: tuple[Engine, Engine]) -> None:
    first, second = two
    assert await first.claim(*ALL) == dict.fromkeys(ALL, False)
    assert await second.claim(*ALL) == {}
    seen = await second.leases.renew()
    assert set(seen.living) == {first.id, second.id}
    assert seen.by_partition == dict.fromkeys(ALL, first.id)
    assert await first.claim(3) == {3: False}, "its own, claimed again"


async def test_what_is_given_up_is_handed_over_for_a_moment(two: tuple[Engine, Engine], monkeypatch: Any) -> None:
    first, second = two
    await first.claim(*ALL)
    await second.leases.release([1])
    assert (await first.leases.renew()).by_partition[1] == first.id, "nobody gives up what is another's"
    await first.leases.release([1, 2])
    assert set(ALL) - set((await first.leases.renew()).by_partition) == {1, 2}
    assert await second.claim(1, 5) == {1: True}
    monkeypatch.setattr(adapter, "HANDED_FRESH_S", 0.0)
    assert await second.claim(2) == {2: False}, "too long ago"


async def test_the_last_one_that_leaves_hands_nothing_over(two: tuple[Engine, Engine]) -> None:
    first, second = two
    await first.leases.leave()
    await second.claim(*ALL)
    await second.leases.leave()
    await first.leases.renew()
    assert await first.claim(7) == {7: False}, "what it had begun has nobody to come back to"


async def test_an_engine_whose_session_ended_is_dead_at_once(two: tuple[Engine, Engine]) -> None:
    first, second = two
    await first.claim(*ALL)
    first.leases._session.terminate()
    async with asyncio.timeout(PATIENCE_S):
        while (await second.leases.renew()).living != [second.id]:
            await asyncio.sleep(0.01)
    assert set(await second.claim(*ALL[:4])) == {0, 1, 2, 3}
    seen = await first.leases.renew()
    assert set(seen.living) == {first.id, second.id}, "it comes back by a new session"
    assert [p for p, owner in sorted(seen.by_partition.items()) if owner == second.id] == [0, 1, 2, 3]


async def test_an_engine_that_did_not_renew_is_dead(two: tuple[Engine, Engine], monkeypatch: Any) -> None:
    first, second = two
    await first.claim(*ALL)
    monkeypatch.setattr(adapter, "LEASE_S", 0.2)
    await first.leases.renew()
    monkeypatch.undo()
    async with asyncio.timeout(PATIENCE_S):
        while (await second.leases.renew()).living != [second.id]:
            await asyncio.sleep(0.01)
    assert await first.claim(1) == {}, "the dead claim nothing"
    assert set(await second.claim(*ALL)) == set(ALL)


async def test_two_that_claim_at_once_get_each_partition_once(two: tuple[Engine, Engine]) -> None:
    first, second = two
    mine, others = await asyncio.gather(first.claim(*ALL), second.claim(*ALL))
    assert sorted([*mine, *others]) == ALL


async def test_the_index_has_the_partition_of_the_bus(backbone: Backbone) -> None:
    ids: list[UUID] = [*(new_id() for _ in range(100)), *(derived_id("test", n) for n in range(100))]
    connection = await asyncpg.connect(backbone.admin_dsn)
    rows = await connection.fetch("SELECT id, get_byte(uuid_send(id), 15) & 31 FROM unnest($1::uuid[]) AS id", ids)
    used = await connection.fetchval("SELECT indexdef FROM pg_indexes WHERE indexname = 'executions_open'")
    await connection.close()
    assert {row[0]: row[1] for row in rows} == {i: partition_of(i) for i in ids}
    assert "(get_byte(uuid_send(id), 15) & 31)" in used
