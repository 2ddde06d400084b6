"""Counters of each workflow: a projection over the beginnings and ends of executions."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import msgspec

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


class _When(msgspec.Struct):
    at: int


_when = msgspec.json.Decoder(_When).decode


class WorkflowCounters:
    """How often each workflow ran, how it ended and how long it took: in all, by hour and by day."""

    name = "workflow_counters"
    of_facts = True
    types: Sequence[str] = (*_COUNTED, e.ExecutionRetried.TYPE)

    async def apply(self, connection: Connection, events: Sequence[RecordedEvent]) -> None:
        """Add what these events say."""
        rows = await connection.fetch(_sql.of_executions, list({event.stream_id for event in events}))
        known = {row["id"]: row for row in rows}
        sums = _Sums()
        for event in events:
            if event.type == e.ExecutionRetried.TYPE:
                continue
            row = known[event.stream_id]
            sums.count(event, row["workflow_id"], _COUNTED[event.type], 1)
            if event.type == e.ExecutionCompleted.TYPE:
                sums.took(event, row["workflow_id"], (row["completed_at"] - row["started_at"]) / _MILLISECOND)
        retried = [event for event in events if event.type == e.ExecutionRetried.TYPE]
        for event, failure in await _failures_before(connection, retried):
            sums.count(failure, known[event.stream_id]["workflow_id"], _FAILED, -1)
        await sums.write(connection)

    async def clear(self, connection: Connection) -> None:
        """Remove every counter."""
        for query in (_sql.clear_counters, _sql.clear_periods, _sql.clear_durations):
            await connection.execute(query)

    async def digest(self, connection: Connection) -> str:
        """Return a hash over all counters."""
        return str(await connection.fetchval(_sql.digest_counters))


async def _failures_before(
    connection: Connection, retried: Sequence[RecordedEvent]
) -> list[tuple[RecordedEvent, RecordedEvent]]:
    """Return each retry with the failure that it takes back, which the log has, whatever batch counted it."""
    if not retried:
        return []
    rows = await connection.fetch(
        _sql.failures_before, [r.stream_id for r in retried], [r.version for r in retried], e.ExecutionFailed.TYPE
    )
    failures = {(row["stream_id"], row["before"]): RecordedEvent(**_recorded(row)) for row in rows}
    return [(event, failures[event.stream_id, event.version]) for event in retried]


def _recorded(row: Any) -> dict[str, Any]:
    return {name: row[name] for name in RecordedEvent.__struct_fields__}


class _Sums:
    """What one batch adds, by workflow and hour; days and totals follow from that."""

    def __init__(self) -> None:
        self._hours: dict[tuple[UUID, UUID, int], list[int]] = defaultdict(lambda: [0] * 4)
        self._durations: Counter[tuple[UUID, UUID, int, int]] = Counter()
        self._milliseconds: dict[tuple[UUID, UUID], float] = defaultdict(float)

    def count(self, event: RecordedEvent, workflow_id: UUID, what: int, by: int) -> None:
        self._hours[event.tenant_id, workflow_id, _hour_of(event)][what] += by

    def took(self, event: RecordedEvent, workflow_id: UUID, duration_ms: float) -> None:
        self._milliseconds[event.tenant_id, workflow_id] += duration_ms
        self._durations[event.tenant_id, workflow_id, _hour_of(event), bucket_of(duration_ms)] += 1

    async def write(self, connection: Connection) -> None:
        totals: dict[tuple[UUID, UUID], list[int]] = defaultdict(lambda: [0] * 4)
        periods: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * 4)
        for (tenant_id, workflow_id, hour), counts in self._hours.items():
            _add(totals[tenant_id, workflow_id], counts)
            for period in _periods(hour):
                _add(periods[tenant_id, workflow_id, *period], counts)
        await connection.execute(
            _sql.add_counts,
            *_columns(
                [(*key, *counts[:_CANCELLED], self._milliseconds.get(key, 0.0)) for key, counts in totals.items()], 6
            ),
        )
        await connection.execute(_sql.add_periods, *_columns([(*k, *counts) for k, counts in periods.items()], 8))
        runs: Counter[tuple[Any, ...]] = Counter()
        for (tenant_id, workflow_id, hour, bucket), by in self._durations.items():
            for period in _periods(hour):
                runs[tenant_id, workflow_id, *period, bucket] += by
        if runs:
            await connection.execute(_sql.add_durations, *_columns([(*k, by) for k, by in runs.items()], 6))


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
