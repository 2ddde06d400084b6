"""Slots of concurrency keys on Postgres: each change is one statement, under a lock of its key."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from services.workflow.adapters.outages import as_store_away
from services.workflow.app.slots import Found, Queued, SlotKey, SlotTaken, SlotWanted
from services.workflow.limits import (
    MAX_QUEUED_PER_KEY,
    SLOT_KEYS_AT_ONCE,
    SLOT_UNUSED_S,
    SLOTS_ADMITTED_AT_ONCE,
)
from shared.db.pool import TenantPool
from shared.db.queries import load_queries
from shared.scope import TenantScope

_sql = load_queries(Path(__file__).parent / "sql" / "slots.sql")


class PostgresSlots:
    """`Slots` over the worker pool. `unused_s`: after so long a slot with which nothing began is given on."""

    def __init__(
        self,
        pool: "asyncpg.Pool[Any]",
        *,
        unused_s: float = SLOT_UNUSED_S,
        max_queued: int = MAX_QUEUED_PER_KEY,
        at_most: int = SLOTS_ADMITTED_AT_ONCE,
    ) -> None:
        self._pool = pool
        self._unused = dt.timedelta(seconds=unused_s)
        self._max_queued = max_queued
        self._at_most = at_most

    async def take(self, wanted: SlotWanted) -> SlotTaken:
        """Ask for a slot; asked again for the same execution, the answer is the same."""
        with as_store_away():
            [row] = await self._pool.fetch(
                _sql.take,
                wanted.tenant_id,
                wanted.workflow_id,
                wanted.key,
                wanted.execution_id,
                wanted.again,
                wanted.limit,
                wanted.priority,
                wanted.when_full,
                self._max_queued,
                self._unused,
                self._at_most,
            )
        return SlotTaken(row["outcome"], row["admitted"], row["leaving"])

    async def give_back(self, execution_id: UUID) -> None:
        """Give a slot back with which nothing began."""
        with as_store_away():
            await self._pool.execute(_sql.give_back, execution_id)

    async def settle(self, key: SlotKey) -> list[UUID]:
        """Forget who no longer needs a slot and give what is free to who waits; return these."""
        with as_store_away():
            admitted = await self._pool.fetchval(
                _sql.settle, key.workflow_id, key.key, self._unused, self._at_most, False
            )
        return list(admitted)

    async def clear_out(self, key: SlotKey) -> list[UUID]:
        """Settle, and look through the whole queue for who no longer waits in it."""
        with as_store_away():
            admitted = await self._pool.fetchval(
                _sql.settle, key.workflow_id, key.key, self._unused, self._at_most, True
            )
        return list(admitted)

    async def is_anybody_queued(self) -> bool:
        """Whether any execution waits for a slot."""
        with as_store_away():
            return bool(await self._pool.fetchval(_sql.any))

    async def movable(self) -> Sequence[SlotKey]:
        """Return keys of which somebody waits and could go on."""
        with as_store_away():
            return _keys(await self._pool.fetch(_sql.movable, SLOT_KEYS_AT_ONCE))

    async def stale(self) -> Sequence[SlotKey]:
        """Return keys of which somebody has a slot, or waits, who has ended or never began."""
        with as_store_away():
            return _keys(await self._pool.fetch(_sql.stale, self._unused, SLOT_KEYS_AT_ONCE))

    async def unadmitted(self) -> Sequence[Found]:
        """Return executions that have a slot and were not told so."""
        with as_store_away():
            return _found(await self._pool.fetch(_sql.unadmitted, SLOT_KEYS_AT_ONCE))

    async def leaving(self) -> Sequence[Found]:
        """Return executions that are to make room and have not ended."""
        with as_store_away():
            return _found(await self._pool.fetch(_sql.leaving, SLOT_KEYS_AT_ONCE))


class PostgresSlotReads:
    """`SlotReads` over the serving pool."""

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool

    async def place(self, scope: TenantScope, execution_id: UUID) -> Queued | None:
        """Return for what an execution waits, None if it does not."""
        async with self._pool.connection(scope) as connection:
            row = await connection.fetchrow(_sql.place, execution_id)
        return None if row is None else Queued(row["key"], row["position"])


def _keys(rows: Sequence[Any]) -> list[SlotKey]:
    return [SlotKey(row["tenant_id"], row["workflow_id"], row["key"]) for row in rows]


def _found(rows: Sequence[Any]) -> list[Found]:
    return [Found(row["tenant_id"], row["execution_id"]) for row in rows]
