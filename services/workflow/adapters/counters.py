"""Counters of each workflow: a projection over the beginnings and ends of executions."""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from services.workflow.app.ports import StatusRow
from services.workflow.domain import events as e
from shared.db.pool import Connection
from shared.db.queries import load_queries
from shared.eventstore.event import RecordedEvent

_sql = load_queries(Path(__file__).parent / "sql" / "workflows.sql")


class _Times(NamedTuple):
    workflow_id: UUID
    started_at: dt.datetime
    completed_at: dt.datetime | None


_Sums = dict[tuple[UUID, UUID], list[float]]


def _sums(events: Sequence[RecordedEvent], known: Mapping[UUID, _Times]) -> _Sums:
    """Return starts, successes, failures and milliseconds by tenant and workflow."""
    sums: _Sums = defaultdict(lambda: [0, 0, 0, 0.0])
    for event in events:
        times = known[event.stream_id]
        total = sums[(event.tenant_id, times.workflow_id)]
        match event.type:
            case e.ExecutionStarted.TYPE:
                total[0] += 1
            case e.ExecutionCompleted.TYPE:  # its row says when: outputs are large, and are not looked at
                total[1] += 1
                ended = times.completed_at or times.started_at
                total[3] += (ended - times.started_at).total_seconds() * 1000
            case e.ExecutionFailed.TYPE:
                total[2] += 1
            case _:
                pass
    return sums


async def _add(connection: Connection, query: str, sums: _Sums) -> None:
    await connection.execute(
        query,
        [tenant for tenant, _ in sums],
        [workflow for _, workflow in sums],
        *[[int(total[place]) for total in sums.values()] for place in range(3)],
        [float(total[3]) for total in sums.values()],
    )


class WorkflowCounters:
    """How often each workflow ran, how it ended and how long it took."""

    name = "workflow_counters"
    of_facts = True
    types: Sequence[str] = (
        e.ExecutionStarted.TYPE,
        e.ExecutionCompleted.TYPE,
        e.ExecutionFailed.TYPE,
        e.ExecutionCancelled.TYPE,
    )

    async def apply(self, connection: Connection, events: Sequence[RecordedEvent]) -> None:
        """Add what these events say."""
        rows = await connection.fetch(_sql.of_executions, list({event.stream_id for event in events}))
        known = {row["id"]: _Times(row["workflow_id"], row["started_at"], row["completed_at"]) for row in rows}
        # One that has no row is archived: it was counted when it was, and the log may hold its events for a while.
        await _add(connection, _sql.add_counts, _sums([event for event in events if event.stream_id in known], known))

    async def archive(
        self, connection: Connection, executions: Sequence[tuple[StatusRow, Sequence[RecordedEvent]]]
    ) -> None:
        """Keep what these executions added, in the transaction that archives them: `clear` begins with it."""
        known = {row.id: _Times(row.workflow_id, row.started_at, row.completed_at) for row, _ in executions}
        counted = [event for _, events in executions for event in events if event.type in self.types]
        await _add(connection, _sql.add_archived_counts, _sums(counted, known))

    async def clear(self, connection: Connection) -> None:
        """Count archived executions and no others: their events are not in the log, or not for long."""
        await connection.execute(_sql.clear_counters)
        await connection.execute(_sql.begin_with_archived)

    async def digest(self, connection: Connection) -> str:
        """Return a hash over all counters."""
        return str(await connection.fetchval(_sql.digest_counters))
