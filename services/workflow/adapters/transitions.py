"""The engine's writes on Postgres: events and status rows in one statement."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.workflow.adapters.outages import as_store_away
from services.workflow.app.ports import StatusRow, Transition
from services.workflow.domain.labels import searchable_labels
from shared.db.kept import KeptConnections
from shared.db.queries import load_queries
from shared.eventstore.errors import ConcurrentAppend
from shared.eventstore.event import RecordedEvent, Snapshot
from shared.eventstore.group_commit import commit_units
from shared.eventstore.postgres import PostgresEventLog, append_in, columns, names_version
from shared.limits import VERSION_MAX

_sql = load_queries(Path(__file__).parent / "sql" / "executions.sql")
_archive = load_queries(Path(__file__).parent / "sql" / "archive.sql")


class PostgresTransitions:
    """`TransitionStore` over the worker pool; `writing` is what transitions are written through, if not the pool."""

    def __init__(
        self, pool: "asyncpg.Pool[Any]", log: PostgresEventLog, writing: KeptConnections | None = None
    ) -> None:
        self._pool = pool
        self._writing = writing or pool
        self._log = log

    async def record(self, transitions: Sequence[Transition]) -> tuple[int, list[Transition]]:
        """Write in one commit; set aside what another writer was ahead of."""
        with as_store_away():
            return await commit_units(self, self._commit, transitions)

    async def read_streams(
        self, stream_ids: Sequence[UUID], *, whole: bool = False
    ) -> Mapping[UUID, list[RecordedEvent]]:
        """Return each execution's events since its snapshot, or all."""
        with as_store_away():
            return await self._log.read_streams(stream_ids, whole=whole)

    async def load_snapshots(self, stream_ids: Sequence[UUID]) -> Mapping[UUID, Snapshot]:
        """Return the snapshots that exist."""
        with as_store_away():
            return await self._log.load_snapshots(stream_ids)

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot."""
        with as_store_away():
            await self._log.save_snapshot(snapshot)

    async def open_executions(self, partitions: Sequence[int], after: UUID, limit: int) -> list[UUID]:
        """Return ids of executions of these partitions that have not ended."""
        with as_store_away():
            return [row[0] for row in await self._pool.fetch(_sql.open_executions, list(partitions), after, limit)]

    async def archived(self, ids: Sequence[UUID]) -> Mapping[UUID, StatusRow]:
        """Return those that are archived."""
        with as_store_away():
            rows = await self._pool.fetch(_archive.archived, list(ids))
        return {row["id"]: StatusRow(*row) for row in rows}

    async def versions(self, stream_ids: Sequence[UUID]) -> Mapping[UUID, int]:
        """Return the version of each execution that exists: one that is archived has them all."""
        with as_store_away():
            written = await self._log.versions(stream_ids)
        return {**written, **dict.fromkeys(await self.archived(stream_ids), VERSION_MAX)}

    async def _commit(self, transitions: Sequence[Transition]) -> int:
        events = [event for transition in transitions for event in transition.events]
        rows = [transition.row for transition in transitions if transition.row is not None]
        if not rows:  # nearly always: arrays that are not passed need not be encoded
            return await append_in(self._writing, events)
        begun = [t.row for t in transitions if t.row is not None and t.events[0].version == 1]
        labels = {row.id: _labels(row) for row in begun if row.attributes or row.tags}
        found = [
            (row, *label) for row in begun if row.id in labels for label in searchable_labels(row.attributes, row.tags)
        ]
        try:
            position = await self._writing.fetchval(
                _sql.record,
                *columns(events),
                [r.tenant_id for r in rows],
                [r.id for r in rows],
                [r.workflow_id for r in rows],
                [r.revision for r in rows],
                [r.status for r in rows],
                [r.started_at for r in rows],
                [r.completed_at for r in rows],
                [r.version for r in rows],
                [r.trigger for r in rows],
                # Nearly always nothing: what an array lacks is null in the rows.
                [r.error_code for r in rows] if any(r.error_code for r in rows) else [],
                [labels.get(r.id) for r in rows] if labels else [],
                [row.tenant_id for row, _, _ in found],
                [name for _, name, _ in found],
                [value for _, _, value in found],
                [row.started_at for row, _, _ in found],
                [row.id for row, _, _ in found],
            )
        except asyncpg.UniqueViolationError as error:
            if not (names_version(error) or error.constraint_name == "archived_executions_pkey"):
                raise
            raise ConcurrentAppend(frozenset(e.stream_id for e in events)) from error
        return int(position)


def _labels(row: StatusRow) -> bytes:
    return msgspec.json.encode({"attributes": row.attributes, "tags": row.tags})
