"""Counters of each workflow: a projection over the beginnings and ends of executions."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from services.workflow.domain import events as e
from shared.db.pool import Connection
from shared.db.queries import load_queries
from shared.eventstore.event import RecordedEvent

_sql = load_queries(Path(__file__).parent / "sql" / "workflows.sql")


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
        known = {row["id"]: row for row in rows}
        sums: dict[tuple[UUID, UUID], list[float]] = defaultdict(lambda: [0, 0, 0, 0.0])
        for event in events:
            row = known[event.stream_id]
            total = sums[(event.tenant_id, row["workflow_id"])]
            match event.type:
                case e.ExecutionStarted.TYPE:
                    total[0] += 1
                case e.ExecutionCompleted.TYPE:  # its row says when: outputs are large, and are not looked at
                    total[1] += 1
                    total[3] += (row["completed_at"] - row["started_at"]).total_seconds() * 1000
                case e.ExecutionFailed.TYPE:
                    total[2] += 1
                case _:
                    pass
        await connection.execute(
            _sql.add_counts,
            [tenant for tenant, _ in sums],
            [workflow for _, workflow in sums],
            *[[int(total[place]) for total in sums.values()] for place in range(3)],
            [float(total[3]) for total in sums.values()],
        )

    async def clear(self, connection: Connection) -> None:
        """Remove every counter."""
        await connection.execute(_sql.clear_counters)

    async def digest(self, connection: Connection) -> str:
        """Return a hash over all counters."""
        return str(await connection.fetchval(_sql.digest_counters))
