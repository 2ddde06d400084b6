"""Counters of each workflow: a projection over the beginnings and ends of executions."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec

from services.workflow.app.ports import StatusRow
from services.workflow.domain import events as e
from services.workflow.domain.histogram import bucket_of
from shared.db.pool import Connection
from shared.db.queries import load_queries
from shared.eventstore.event import RecordedEvent

_sql = load_queries(Path(__file__).parent / "sql" / "counters.sql")


Period = Literal["hour", "day"]
_MILLISECOND = dt.timedelta(milliseconds=1)
_HOUR_MS = 3600 * 1000
_STARTED, _COMPLETED, _FAILED, _CANCELLED = range(4)
_COUNTED = {
    e.ExecutionStarted.TYPE: _STARTED,
    e.ExecutionCompleted.TYPE: _COMPLETED,
    e.ExecutionFailed.TYPE: _FAILED,
    e.ExecutionCancelled.TYPE: _CANCELLED,
}
_RETRIED = e.ExecutionRetried.TYPE
_TAKEN_BACK = (e.ExecutionFailed.TYPE, e.ExecutionCancelled.TYPE)


class _When(msgspec.Struct):
    at: int


_when = msgspec.json.Decoder(_When).decode


class _Times(NamedTuple):
    workflow_id: UUID
    started_at: dt.datetime
    completed_at: dt.datetime | None


class _Into(NamedTuple):
    """The statements that add to three tables: totals, periods, durations."""

    counts: str
    periods: str
    durations: str


_LIVE = _Into(_sql.add_counts, _sql.add_periods, _sql.add_durations)
_ARCHIVED = _Into(_sql.add_archived_counts, _sql.add_archived_periods, _sql.add_archived_durations)


class WorkflowCounters:
    """How often each workflow ran, how it ended and how long it took: in all, by hour and by day."""

    name = "workflow_counters"
    of_facts = True
    types: Sequence[str] = (*_COUNTED, _RETRIED)

    async def apply(self, connection: Connection, events: Sequence[RecordedEvent]) -> None:
        """Add what these events say."""
        rows = await connection.fetch(_sql.of_executions, list({event.stream_id for event in events}))
        known = {row["id"]: _Times(row["workflow_id"], row["started_at"], row["completed_at"]) for row in rows}
        # One that has no row is archived: it was counted when it was, and the log may hold its events for a while.
        there = [event for event in events if event.stream_id in known]
        sums = _Sums(known)
        sums.add(there, await _ends_before(connection, [event for event in there if event.type == _RETRIED]))
        await sums.write(connection, _LIVE)

    async def archive(
        self, connection: Connection, executions: Sequence[tuple[StatusRow, Sequence[RecordedEvent]]]
    ) -> None:
        """Keep what these executions added, in the transaction that archives them: `clear` begins with it."""
        sums = _Sums({row.id: _Times(row.workflow_id, row.started_at, row.completed_at) for row, _ in executions})
        for _, events in executions:
            counted = [event for event in events if event.type in self.types]
            sums.add(counted, [end for end, then in pairwise(counted) if then.type == _RETRIED])
        await sums.write(connection, _ARCHIVED)

    async def clear(self, connection: Connection) -> None:
        """Count archived executions and no others: their events are not in the log, or not for long."""
        for query in (_sql.clear_counters, _sql.clear_periods, _sql.clear_durations):
            await connection.execute(query)
        for query in (_sql.begin_with_counts, _sql.begin_with_periods, _sql.begin_with_durations):
            await connection.execute(query)

    async def digest(self, connection: Connection) -> str:
        """Return a hash over all counters."""
        return str(await connection.fetchval(_sql.digest_counters))


async def _ends_before(connection: Connection, retried: Sequence[RecordedEvent]) -> list[RecordedEvent]:
    """Return the end that each retry takes back, which the log has, whatever batch counted it."""
    if not retried:
        return []
    rows = await connection.fetch(
        _sql.ends_before, [r.stream_id for r in retried], [r.version for r in retried], list(_TAKEN_BACK)
    )
    return [RecordedEvent(*row) for row in rows]


class _Sums:
    """What one batch adds, by workflow and hour; days and totals follow from that."""

    def __init__(self, known: Mapping[UUID, _Times]) -> None:
        self._known = known
        self._hours: dict[tuple[UUID, UUID, int], list[int]] = defaultdict(lambda: [0] * 4)
        self._durations: Counter[tuple[UUID, UUID, int, int]] = Counter()
        self._milliseconds: dict[tuple[UUID, UUID], float] = defaultdict(float)

    def add(self, events: Iterable[RecordedEvent], taken_back: Iterable[RecordedEvent]) -> None:
        """Count events of known executions, and the ends that retries took back as if they had never been."""
        for event in events:
            if event.type == _RETRIED:
                continue
            self._count(event, 1)
            times = self._known[event.stream_id]
            if event.type == e.ExecutionCompleted.TYPE and times.completed_at is not None:
                self._took(event, times.workflow_id, (times.completed_at - times.started_at) / _MILLISECOND)
        for end in taken_back:
            self._count(end, -1)

    def _count(self, event: RecordedEvent, by: int) -> None:
        workflow_id = self._known[event.stream_id].workflow_id
        self._hours[event.tenant_id, workflow_id, _hour_of(event)][_COUNTED[event.type]] += by

    def _took(self, event: RecordedEvent, workflow_id: UUID, duration_ms: float) -> None:
        self._milliseconds[event.tenant_id, workflow_id] += duration_ms
        self._durations[event.tenant_id, workflow_id, _hour_of(event), bucket_of(duration_ms)] += 1

    async def write(self, connection: Connection, into: _Into) -> None:
        totals: dict[tuple[UUID, UUID], list[int]] = defaultdict(lambda: [0] * 4)
        periods: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * 4)
        for (tenant_id, workflow_id, hour), counts in self._hours.items():
            _add(totals[tenant_id, workflow_id], counts)
            for period in _periods(hour):
                _add(periods[tenant_id, workflow_id, *period], counts)
        await connection.execute(
            into.counts,
            *_columns(
                [(*key, *counts[:_CANCELLED], self._milliseconds.get(key, 0.0)) for key, counts in totals.items()], 6
            ),
        )
        await connection.execute(into.periods, *_columns([(*k, *counts) for k, counts in periods.items()], 8))
        runs: Counter[tuple[Any, ...]] = Counter()
        for (tenant_id, workflow_id, hour, bucket), by in self._durations.items():
            for period in _periods(hour):
                runs[tenant_id, workflow_id, *period, bucket] += by
        if runs:
            await connection.execute(into.durations, *_columns([(*k, by) for k, by in runs.items()], 6))


def _hour_of(event: RecordedEvent) -> int:
    """Return the hour of an event, counted from 1970."""
    return _when(event.data).at // _HOUR_MS


def _periods(hour: int) -> list[tuple[Period, dt.datetime]]:
    starts_at = dt.datetime.fromtimestamp(hour * 3600, dt.UTC)
    return [("hour", starts_at), ("day", starts_at.replace(hour=0))]


def _add(sums: list[int], counts: Sequence[int]) -> None:
    for place, by in enumerate(counts):
        sums[place] += by


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[row[place] for row in rows] for place in range(width)]
