"""Periods of the log, a partition of its table each: made ahead of time, dropped when all they hold is archived."""

import datetime as dt
import logging
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.workflow import limits
from services.workflow.adapters.outages import as_store_away
from services.workflow.metrics import RetentionMetrics
from shared.db.queries import load_queries

_sql = load_queries(Path(__file__).parent / "sql" / "event_periods.sql")
_log = logging.getLogger(__name__)
_DAY = dt.timedelta(days=1)
# A check is violated by what came into the catch-all while a period was made.
_BUSY = asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.CheckViolationError


class Period(msgspec.Struct, frozen=True):
    """The partition `part` of the log: executions with `from_id <= id < to_id`."""

    part: str
    from_id: UUID
    to_id: UUID
    bytes: int

    @property
    def ends(self) -> dt.datetime:
        """The moment from which on ids are no longer in it."""
        return dt.datetime.fromtimestamp((self.to_id.int >> 80) / 1000, dt.UTC)


def days_of_period(shortest: int | None) -> int:
    """Return the width of a period in days, for the shortest retention that anybody asks for.

    Narrow, so that little waits for the last execution of its period; and few, since whoever reads the log by
    position looks into each.
    """
    if shortest is None:
        return limits.PERIOD_DAYS_UNLIMITED
    return min(limits.PERIOD_DAYS_MAX, max(1, shortest // limits.PERIODS_PER_RETENTION))


class EventPeriods:
    """Looks after them. One at a time (see `shared.tail.leader`); the engine never waits for it."""

    def __init__(self, pool: "asyncpg.Pool[Any]", metrics: RetentionMetrics, default_days: int | None) -> None:
        self._pool = pool
        self._metrics = metrics
        self._default_days = default_days
        self._purged: dict[str, dt.date] = {}

    async def tend(self, now: dt.datetime) -> None:
        """Make what will be needed, drop what is not needed any more."""
        with as_store_away():
            await self._make(now)
            for period in await self.periods():
                if period.ends < now - _DAY:
                    await self._retire(period, now.date())
            self._metrics.periods.set(len(await self.periods()))

    async def periods(self) -> list[Period]:
        """Return the periods, oldest first."""
        return [Period(*row) for row in await self._pool.fetch(_sql.periods)]

    async def _make(self, now: dt.datetime) -> None:
        """Make periods from the last one's end until some days from now. What lies in none, the catch-all takes."""
        days = days_of_period(await self._pool.fetchval(_sql.shortest, self._default_days))
        today = now.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        wanted = now + limits.PERIODS_AHEAD_DAYS * _DAY
        periods = await self.periods()
        covered = periods[-1].ends if periods else today
        begins = max(covered, today)
        for _ in range(limits.PERIODS_MADE_AT_ONCE):
            if covered >= wanted:
                break
            ends = begins + days * _DAY
            try:
                made = await self._pool.fetchval(_sql.make, begins, ends, limits.PERIOD_ROWS_MOVED_IN)
            except _BUSY:
                _log.warning("the period from %s on waits: somebody is busy with the log", begins.date())
                break
            if made:
                begins = covered = ends
                _log.info("made a period of the log from %s on, of %d days", begins.date(), days)
            else:  # more lies in the catch-all than may move: it keeps that, and a later day is free
                _log.warning("no period of the log can begin at %s: more than may move was written", begins.date())
                begins += _DAY
        self._metrics.periods_ahead.set(max(0.0, (covered - now).total_seconds()))

    async def _retire(self, period: Period, today: dt.date) -> None:
        most = limits.PERIOD_SURVIVORS
        live = await self._pool.fetchval(_sql.live_in, period.from_id, period.to_id, most + 1)
        enough = live * limits.PERIOD_SURVIVING_SHARE
        archived = await self._pool.fetchval(_sql.archived_in, period.from_id, period.to_id, max(1, enough))
        if live <= most and archived >= enough:
            if await self._drop(period):
                return
        elif archived and self._purged.get(period.part) != today:
            await self._purge(period)
            self._purged[period.part] = today

    async def _drop(self, period: Period) -> bool:
        upto = await self._pool.fetchval(_sql.last_position)
        timeout = limits.PERIOD_DROP_TIMEOUT_S
        most = limits.PERIOD_SURVIVORS
        survivors = await self._pool.fetchval(_sql.survivors, period.part, most + 1, timeout=timeout)
        if survivors is None or len(survivors) > most:
            return False
        try:
            moved = await self._pool.fetchval(
                _sql.drop, period.part, survivors, upto, limits.PERIOD_SURVIVING_ROWS, timeout=timeout
            )
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            _log.warning("the period %s stays for now: somebody is busy with the log", period.part)
            return False
        if moved is None:
            return False
        _log.info("dropped the period %s of %d bytes; %d streams moved out first", period.part, period.bytes, moved)
        self._metrics.periods_dropped.inc()
        return True

    async def _purge(self, period: Period) -> None:
        """Delete the events of archived executions from a period that too many others need."""
        after: UUID | None = UUID(int=period.from_id.int - 1) if period.from_id.int else UUID(int=0)
        while after is not None:
            after = await self._pool.fetchval(
                _sql.purge, after, period.to_id, limits.PERIOD_PURGE_STREAMS, timeout=limits.PERIOD_DROP_TIMEOUT_S
            )
