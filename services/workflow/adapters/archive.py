"""Reads of executions that go on in the archive where Postgres has no more."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from services.workflow.app.archive_format import ArchiveFault, unpack
from services.workflow.app.archiver import Objects
from services.workflow.app.ports import ArchivedHistory, ExecutionReads
from services.workflow.errors import ArchiveUnreadable, ExecutionNotFound
from services.workflow.limits import ARCHIVE_YOUNGEST_S
from shared.db.pool import TenantPool
from shared.db.queries import load_queries
from shared.eventstore.event import RecordedEvent
from shared.scope import TenantScope

_sql = load_queries(Path(__file__).parent / "sql" / "archive.sql")
_YOUNGEST = dt.timedelta(seconds=ARCHIVE_YOUNGEST_S)


class WithArchive:
    """`ExecutionReads`: those of the log, and by id those of the archive, too. Lists show what is not archived."""

    def __init__(self, live: ExecutionReads, pool: TenantPool, objects: Objects) -> None:
        self._live = live
        self._pool = pool
        self._objects = objects

    def __getattr__(self, name: str) -> Any:
        return getattr(self._live, name)

    async def row(self, scope: TenantScope, execution_id: UUID) -> Any:
        """Return the status row, `archived` or not. Raises `ExecutionNotFound`, also for another tenant's."""
        try:
            return await self._live.row(scope, execution_id)
        except ExecutionNotFound:
            found = await self._find(scope, execution_id)
            if found is None:
                raise
            return found

    async def history(
        self,
        scope: TenantScope,
        execution_id: UUID,
        *,
        after: int = 0,
        upto: int | None = None,
        limit: int | None = None,
    ) -> list[RecordedEvent]:
        """Return events of an execution. Raises `ExecutionNotFound`, `ArchiveUnreadable`."""
        try:
            events = await self._live.history(scope, execution_id, after=after, upto=upto, limit=limit)
        except ExecutionNotFound:
            events = []
            found = await self._find(scope, execution_id)
            if found is None:
                raise
        else:
            # Those of an archived execution stay in the log until its partition goes: they are as good as any.
            if events and events[-1].recorded_at < dt.datetime.now(dt.UTC) - _YOUNGEST:
                return ArchivedHistory(events) if await self._find(scope, execution_id) else events
            return events
        held = await self._read(scope, execution_id, found)
        return ArchivedHistory([e for e in held if e.version > after and (upto is None or e.version <= upto)][:limit])

    async def ended(self, scope: TenantScope, ids: Sequence[UUID]) -> list[UUID]:
        """Return those of these executions that ended and are not archived."""
        return await self._live.ended(scope, ids)

    async def _find(self, scope: TenantScope, execution_id: UUID) -> Any:
        async with self._pool.connection(scope) as connection:
            return await connection.fetchrow(_sql.find, execution_id)

    async def _read(self, scope: TenantScope, execution_id: UUID, found: Any) -> list[RecordedEvent]:
        member = await self._objects.get_range(found["key"], found["start"], found["length"])
        try:
            return unpack(member, found["line"], scope.tenant_id, execution_id)
        except ArchiveFault as fault:
            raise ArchiveUnreadable(f"The archive of the execution {execution_id} is damaged: {fault}.") from fault


class ReaderWithArchive:
    """`HistoryReader`."""

    def __init__(self, reads: WithArchive) -> None:
        self._reads = reads

    async def read_stream(self, scope: TenantScope, stream_id: UUID) -> list[RecordedEvent]:
        """Return the history of an execution; none of one that does not exist. Raises `ArchiveUnreadable`."""
        try:
            return await self._reads.history(scope, stream_id)
        except ExecutionNotFound:
            return []
