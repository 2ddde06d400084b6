"""The counters on Postgres, read for one tenant."""

from pathlib import Path
from uuid import UUID

from services.workflow.adapters.counters import WorkflowCounters
from services.workflow.app.stats import OPEN, StatsRows, Window
from services.workflow.limits import LIST_SCAN_ROWS, STATS_MAX_WORKFLOWS
from shared.db.pool import TenantPool
from shared.db.queries import load_queries
from shared.eventstore.ports import EventReader
from shared.scope import TenantScope

_sql = load_queries(Path(__file__).parent / "sql" / "counters.sql")


class PostgresStats:
    """`StatsReads` over the pool that answers requests."""

    def __init__(self, pool: TenantPool, reader: EventReader) -> None:
        self._pool = pool
        self._reader = reader

    async def rows(self, scope: TenantScope, workflow_id: UUID | None, window: Window) -> StatsRows:
        """Return what was counted in a window."""
        asked = (window.period, workflow_id, window.start, window.end)
        some = (list(OPEN), LIST_SCAN_ROWS + 1)
        async with self._pool.connection(scope) as connection:
            periods = await connection.fetch(_sql.sums, *asked)
            workflows = await connection.fetch(_sql.sums_of_workflows, *asked, STATS_MAX_WORKFLOWS)
            durations = await connection.fetch(_sql.durations, *asked)
            if workflow_id is None:
                open_now = await connection.fetch(_sql.open_now, *some)
            else:
                open_now = await connection.fetch(_sql.open_now_of_workflow, *some, workflow_id)
        return StatsRows(periods, workflows, durations, open_now)

    async def counted_upto(self) -> int:
        """Return the position of the log up to which the counters count."""
        return await self._reader.read_checkpoint(WorkflowCounters.name)
