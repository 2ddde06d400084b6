"""Executions on Postgres, one tenant at a time: status rows for lists, events for everything else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from services.workflow.adapters.outages import as_store_away
from services.workflow.errors import ExecutionNotFound
from shared.db.pool import TenantPool
from shared.db.queries import load_queries
from shared.eventstore.event import RecordedEvent
from shared.eventstore.ports import EventReader
from shared.paging import Place
from shared.scope import TenantScope

_sql = load_queries(Path(__file__).parent / "sql" / "executions.sql")


class PostgresExecutions:
    """Reads for requests."""

    def __init__(self, pool: TenantPool, reader: EventReader) -> None:
        self._pool = pool
        self._reader = reader

    async def row(self, scope: TenantScope, execution_id: UUID) -> Any:
        """Return the status row. Raises `ExecutionNotFound`, also for another tenant's."""
        async with self._pool.connection(scope) as connection:
            row = await connection.fetchrow(_sql.get_row, execution_id)
        if row is None:
            raise ExecutionNotFound(execution_id)
        return row

    async def history(
        self,
        scope: TenantScope,
        execution_id: UUID,
        *,
        after: int = 0,
        upto: int | None = None,
        limit: int | None = None,
    ) -> list[RecordedEvent]:
        """Return events of an execution. Raises `ExecutionNotFound` if it has none at all."""
        events = await self._reader.read_stream(scope, execution_id, after=after, upto=upto, limit=limit)
        if not events:
            await self.row(scope, execution_id)
        return events

    async def newest_ended(self, scope: TenantScope, workflow_id: UUID, before: Place | None, limit: int) -> list[Any]:
        """Return status rows of a workflow's executions that ended, newest first."""
        async with self._pool.connection(scope) as connection:
            return list(await connection.fetch(_sql.newest_ended, workflow_id, *(before or (None, None)), limit))

    async def ended(self, scope: TenantScope, ids: Sequence[UUID]) -> list[UUID]:
        """Return those of these executions that ended."""
        with as_store_away():
            async with self._pool.connection(scope) as connection:
                return [row[0] for row in await connection.fetch(_sql.ended, list(ids))]
