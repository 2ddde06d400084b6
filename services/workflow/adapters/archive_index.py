"""`ArchiveIndex` on Postgres: what is due, what is planned, and where archived executions lie."""

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import msgspec

from services.workflow.adapters.outages import as_store_away
from services.workflow.app.archiver import Due, Plan, TailsBehind, Written
from services.workflow.app.ports import StatusRow
from services.workflow.domain.labels import searchable_labels
from shared.db.pool import Connection
from shared.db.queries import load_queries
from shared.eventstore.event import RecordedEvent

_sql = load_queries(Path(__file__).parent / "sql" / "archive.sql")
_NOBODY = UUID(int=0)


class Archiving(Protocol):
    """A projection: what it has of archived executions goes with them, or is kept where it survives a rebuild."""

    name: str

    async def archive(
        self, connection: Connection, executions: Sequence[tuple[StatusRow, Sequence[RecordedEvent]]]
    ) -> None:
        """Do that, in the transaction that archives these executions."""
        ...


class PostgresArchiveIndex:
    """Over the worker pool. `default_days` is the platform's retention, None for ever.

    `tails` names whatever else reads the log: what it has not read is not archived. A checkpoint that has another name
    is one of something that is no more, and holds nothing up.
    """

    def __init__(
        self,
        pool: "asyncpg.Pool[Any]",
        projections: Sequence[Archiving],
        default_days: int | None,
        tails: Sequence[str],
    ) -> None:
        self._pool = pool
        self._projections = projections
        self._default_days = default_days
        self._tails = sorted({*tails, *(projection.name for projection in projections)})

    async def due(self, midnight: dt.datetime, after: Due | None, limit: int) -> list[Due]:
        """Return workflows with executions that are due, by tenant and id."""
        place = (after.tenant_id, after.workflow_id) if after else (_NOBODY, _NOBODY)
        with as_store_away():
            rows = await self._pool.fetch(_sql.due_workflows, midnight, self._default_days, *place, limit)
        return [Due(*row) for row in rows]

    async def candidates(self, due: Sequence[Due], without: Sequence[UUID], limit: int) -> list[tuple[UUID, dt.date]]:
        """Return executions that are due and the days (UTC) on which they ended, the oldest first."""
        columns = [d.tenant_id for d in due], [d.workflow_id for d in due], [d.cutoff for d in due]
        with as_store_away():
            rows = await self._pool.fetch(_sql.due_executions, *columns, list(without), limit)
        return [(row["id"], row["completed_at"].astimezone(dt.UTC).date()) for row in rows]

    async def sizes(self, ids: Sequence[UUID]) -> dict[UUID, int]:
        """Return the bytes of each execution's events."""
        with as_store_away():
            return {row[0]: int(row[1]) for row in await self._pool.fetch(_sql.sizes, list(ids))}

    async def plan(self, plan: Plan) -> None:
        """Keep a plan."""
        with as_store_away():
            await self._pool.execute(_sql.plan, plan.tenant_id, plan.id, plan.key, plan.executions)

    async def planned(self, limit: int) -> list[Plan]:
        """Return the plans that were not carried out, the oldest first."""
        with as_store_away():
            return [Plan(*row) for row in await self._pool.fetch(_sql.planned, limit)]

    async def forget(self, plan: Plan) -> None:
        """Drop a plan."""
        with as_store_away():
            await self._pool.execute(_sql.forget_plan, plan.id)

    async def read(self, plan: Plan) -> list[tuple[StatusRow, list[RecordedEvent]]]:
        """Return those executions of a plan that are still ended, with their histories.

        Rows and events are read one after the other: one that a retry reached in between has more events than its row
        says, and stays as it is.
        """
        with as_store_away():
            found = await self._pool.fetch(_sql.ended_rows, plan.executions, plan.tenant_id)
            rows = [_status_row(row) for row in found]
            histories: dict[UUID, list[RecordedEvent]] = defaultdict(list)
            for event in await self._pool.fetch(_sql.histories, [row.id for row in rows]):
                histories[event["stream_id"]].append(RecordedEvent(*event))
        return [(row, histories[row.id]) for row in rows if len(histories[row.id]) <= row.version]

    async def settle(self, plan: Plan, written: Sequence[Written], size: int, sha256: bytes) -> int:
        """Delete the rows of what was written and index it, in one transaction."""
        with as_store_away():
            async with self._pool.acquire() as connection, connection.transaction():
                await self._hold_tails(connection, max(w.events[-1].position for w in written))
                rows = [w.row for w in written]
                gone = await connection.fetch(_sql.delete_rows, [r.id for r in rows], [r.version for r in rows])
                deleted = {row["id"] for row in gone}
                kept = [w for w in written if w.row.id in deleted]
                if not kept or not await connection.fetchval(_sql.settle_plan, plan.id, len(kept), size, sha256):
                    raise TailsBehind("all of its executions changed while it was written")
                await self._insert(connection, plan, kept)
                ids = [w.row.id for w in kept]
                await connection.execute(_sql.delete_snapshots, ids)
                await self._delete_attributes(connection, [w.row for w in kept])
                for projection in self._projections:
                    await projection.archive(connection, [(w.row, w.events) for w in kept])
                await connection.execute(_sql.delete_unplaced, ids)
        return len(kept)

    async def _hold_tails(self, connection: Connection, upto: int) -> None:
        """Keep the tails where they are, and raise `TailsBehind` unless all have read the log up to a position.

        A rebuild holds its checkpoint to its end, so that nothing is archived under its eyes.
        """
        read = {row["name"]: row["position"] for row in await connection.fetch(_sql.hold_tails, self._tails)}
        behind = [name for name in self._tails if read.get(name, 0) < upto]
        if behind:
            raise TailsBehind(f"{', '.join(behind)} did not come to the position {upto} yet")

    async def _delete_attributes(self, connection: Connection, rows: Sequence[StatusRow]) -> None:
        found = [(row, *label) for row in rows for label in searchable_labels(row.attributes, row.tags)]
        if found:
            await connection.execute(
                _sql.delete_attributes,
                [row.tenant_id for row, _, _ in found],
                [name for _, name, _ in found],
                [value for _, _, value in found],
                [row.started_at for row, _, _ in found],
                [row.id for row, _, _ in found],
            )

    async def _insert(self, connection: Connection, plan: Plan, kept: Sequence[Written]) -> None:
        await connection.execute(
            _sql.insert_index,
            plan.tenant_id,
            plan.id,
            [w.row.id for w in kept],
            [w.row.workflow_id for w in kept],
            [w.row.started_at for w in kept],
            [w.row.completed_at for w in kept],
            [w.place.start for w in kept],
            [w.place.length for w in kept],
            [w.place.line for w in kept],
            [w.row.revision for w in kept],
            [w.row.version for w in kept],
            [w.row.status for w in kept],
        )


def _status_row(row: Any) -> StatusRow:
    *plain, labels = row
    return StatusRow(*plain, **({} if labels is None else msgspec.json.decode(labels)))
