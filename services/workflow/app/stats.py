"""What a tenant's executions came to: counts by hour or day, how long they took, and what is open now."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol
from uuid import UUID

import msgspec

from services.workflow.domain.histogram import percentile
from services.workflow.limits import LIST_SCAN_ROWS, STATS_DEFAULT_DAYS, STATS_MAX_PERIODS
from shared.errors import InvalidInput
from shared.scope import TenantScope

Period = Literal["hour", "day"]
OPEN = ("pending", "running", "waiting", "paused")
LENGTHS = {"hour": dt.timedelta(hours=1), "day": dt.timedelta(days=1)}


class Window(msgspec.Struct, frozen=True):
    """Whole hours or days (UTC), from `start`, to `end`, which is not in it."""

    period: Period
    start: dt.datetime
    end: dt.datetime


class Durations(msgspec.Struct, frozen=True):
    """Of executions that completed, in milliseconds; each within 2 % of the run that it stands for; or None."""

    p50: float | None
    p95: float | None
    p99: float | None


class Counts(msgspec.Struct, frozen=True):
    """Each counted when it happened: what starts in one period can end in the next."""

    started: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0


class PeriodCounts(msgspec.Struct, frozen=True):
    """One hour or day; one without any event is left out."""

    starts_at: dt.datetime
    counts: Counts


class WorkflowCounts(msgspec.Struct, frozen=True):
    """One workflow's share. `slug` is None once the workflow is gone."""

    workflow_id: UUID
    slug: str | None
    counts: Counts
    duration_ms: Durations


class OpenCount(msgspec.Struct, frozen=True):
    """How many are in a status now; without `exact` that many or more."""

    status: str
    executions: int
    exact: bool


class Stats(msgspec.Struct, frozen=True):
    """`workflows` has those that ran most, at most a hundred; `open` is as of now, whatever the window."""

    period: Period
    start: dt.datetime = msgspec.field(name="from")
    end: dt.datetime = msgspec.field(name="to")
    totals: Counts
    duration_ms: Durations
    open: list[OpenCount]
    periods: list[PeriodCounts]
    workflows: list[WorkflowCounts]


class StatsRows(msgspec.Struct, frozen=True):
    """What the tables hold for a window. Rows are read by column name."""

    periods: Sequence[Any]
    workflows: Sequence[Any]
    durations: Sequence[Any]
    open_now: Sequence[Any]


class StatsReads(Protocol):
    """The counters, for requests of one tenant."""

    async def rows(self, scope: TenantScope, workflow_id: UUID | None, window: Window) -> StatsRows:
        """Return what was counted in a window."""
        ...


def window_of(start: dt.datetime | None, end: dt.datetime | None, period: Period, now: dt.datetime) -> Window:
    """Return whole periods that hold `start` to `end`: by default the last thirty days, up to now.

    Raises `InvalidInput` if that is nothing, or more than 750 periods.
    """
    length = LENGTHS[period]
    end = now if end is None else end
    try:
        begin = end - dt.timedelta(days=STATS_DEFAULT_DAYS) if start is None else start
        floor = _floor(begin, period)
        ceiling = _floor(end - dt.timedelta(microseconds=1), period) + length
    except OverflowError as error:
        raise InvalidInput("from and to are no span of time.") from error
    if ceiling <= floor:
        raise InvalidInput("from must be before to.")
    if (ceiling - floor) // length > STATS_MAX_PERIODS:
        raise InvalidInput(f"At most {STATS_MAX_PERIODS} {period}s at once: ask for fewer, or by day.")
    return Window(period, floor, ceiling)


def stats_of(window: Window, rows: StatsRows) -> Stats:
    """Return the figures that a window's rows come to."""
    by_workflow: dict[UUID, Counter[int]] = {}
    every: Counter[int] = Counter()
    for row in rows.durations:
        every[row["bucket"]] += row["runs"]
        by_workflow.setdefault(row["workflow_id"], Counter())[row["bucket"]] += row["runs"]
    periods = [PeriodCounts(row["starts_at"], _counts(row)) for row in rows.periods]
    return Stats(
        period=window.period,
        start=window.start,
        end=window.end,
        totals=Counts(
            sum(p.counts.started for p in periods),
            sum(p.counts.completed for p in periods),
            sum(p.counts.failed for p in periods),
            sum(p.counts.cancelled for p in periods),
        ),
        duration_ms=_durations(every),
        open=[
            OpenCount(row["status"], min(row["executions"], LIST_SCAN_ROWS), row["executions"] <= LIST_SCAN_ROWS)
            for row in rows.open_now
        ],
        periods=periods,
        workflows=[
            WorkflowCounts(
                row["workflow_id"], row["slug"], _counts(row), _durations(by_workflow.get(row["workflow_id"], {}))
            )
            for row in rows.workflows
        ],
    )


def _counts(row: Any) -> Counts:
    return Counts(row["started"], row["completed"], row["failed"], row["cancelled"])


def _durations(runs: Mapping[int, int]) -> Durations:
    found = [percentile(runs, share) for share in (0.5, 0.95, 0.99)]
    return Durations(*(None if value is None else round(value, 1) for value in found))


def _floor(time: dt.datetime, period: Period) -> dt.datetime:
    hour = time.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)
    return hour if period == "hour" else hour.replace(hour=0)
