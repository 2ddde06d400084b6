"""Calls of all tenants that have no end on record."""

import datetime as dt
from pathlib import Path
from typing import Any

import asyncpg

from services.mcp_gateway.adapters.outages import as_unavailable
from services.mcp_gateway.app.interrupted import RunningCall
from services.mcp_gateway.limits import INTERRUPTED_AT_ONCE
from shared.db.queries import load_queries

_sql = load_queries(Path(__file__).parent / "records.sql")


class PostgresRunningCalls:
    """`RunningCalls`, through the worker's login."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool

    async def begun_before(self, time: dt.datetime) -> list[RunningCall]:
        """Return some that began before then, the oldest first."""
        with as_unavailable():
            rows = await self._pool.fetch(_sql.running, time, INTERRUPTED_AT_ONCE)
        return [RunningCall(**dict(row)) for row in rows]
