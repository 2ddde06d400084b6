"""Schedules on Postgres, seen by the login that works through all tenants' queues."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

from services.workflow.adapters.outages import as_store_away
from services.workflow.app.schedules import Move, ScheduleId, ScheduleRow
from services.workflow.domain.schedules import ScheduleKey
from shared.db.queries import load_queries

_sql = load_queries(Path(__file__).parent / "sql" / "triggers.sql")


class PostgresSchedules:
    """`ScheduleStore` over the worker pool. Raises `StoreAway`."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool

    async def due(self, now: dt.datetime, limit: int) -> Sequence[ScheduleRow]:
        """Return what is due, by the index of what comes next."""
        with as_store_away():
            rows = await self._pool.fetch(_sql.due, now, limit)
        return [
            ScheduleRow(
                row["tenant_id"],
                row["workflow_id"],
                row["revision"],
                ScheduleKey(row["cron"], row["timezone"], row["nth"]),
                row["next_fire_at"],
            )
            for row in rows
        ]

    async def advance(self, moves: Sequence[Move]) -> set[ScheduleId]:
        """Move those that are where their rows say."""
        columns = [
            (row.workflow_id, row.key.cron, row.key.timezone, row.key.nth, row.next_fire_at, to) for row, to in moves
        ]
        with as_store_away():
            rows = await self._pool.fetch(_sql.advance, *map(list, zip(*columns, strict=True)))
        return {(row["workflow_id"], ScheduleKey(row["cron"], row["timezone"], row["nth"])) for row in rows}
