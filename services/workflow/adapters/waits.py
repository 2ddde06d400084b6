"""Waits on Postgres, read for one tenant. Each request looks at a bounded stretch of one index."""

from pathlib import Path
from typing import Any
from uuid import UUID

from services.workflow.adapters.pending_waits import PendingWaits
from services.workflow.app.lists import LAST, Listed
from services.workflow.app.waits import WaitFilter
from services.workflow.errors import WaitNotFound
from services.workflow.limits import LIST_SCAN_ROWS
from shared.db.pool import TenantPool
from shared.db.queries import load_queries
from shared.eventstore.ports import EventReader
from shared.paging import Place
from shared.scope import TenantScope

_sql = load_queries(Path(__file__).parent / "sql" / "waits.sql")


class PostgresWaits:
    """`WaitReads` over the pool that answers requests."""

    def __init__(self, pool: TenantPool, reader: EventReader) -> None:
        self._pool = pool
        self._reader = reader

    async def page(
        self, scope: TenantScope, wanted: WaitFilter, before: Place | None, offset: int, limit: int
    ) -> Listed:
        """Return a page, those that began last first, and how many there are as far as that is counted."""
        pending = wanted.status == "pending"
        place = before or Place(LAST, UUID(int=0))
        narrowed = (list(wanted.kinds), wanted.status, wanted.assignee, wanted.workflow_id)
        async with self._pool.connection(scope) as connection:
            rows = await connection.fetch(
                _sql.page_of_pending if pending else _sql.page, *place, LIST_SCAN_ROWS, offset + limit + 1, 0, *narrowed
            )
            counted = await connection.fetchrow(
                _sql.count_pending if pending else _sql.count, LIST_SCAN_ROWS + 1, *narrowed
            )
        found = [row for row in rows if row["wanted"]][offset:]
        following = None
        if len(found) > limit:
            following = Place(found[limit - 1]["since"], found[limit - 1]["id"])
        elif rows and rows[-1]["place"] == LIST_SCAN_ROWS:
            following = Place(rows[-1]["since"], rows[-1]["id"])
        exact = counted["looked_at"] <= LIST_SCAN_ROWS
        return Listed(found[:limit], following, min(counted["found"], LIST_SCAN_ROWS), exact)

    async def row(self, scope: TenantScope, wait_id: UUID, kinds: tuple[str, ...]) -> Any:
        """Return one. Raises `WaitNotFound`, also for another tenant's."""
        async with self._pool.connection(scope) as connection:
            row = await connection.fetchrow(_sql.get, wait_id, list(kinds))
        if row is None:
            raise WaitNotFound(wait_id)
        return row

    async def projected_upto(self) -> int:
        """Return the position of the log up to which waits are known."""
        return await self._reader.read_checkpoint(PendingWaits.name)
