"""The workflows that are offered as tools, read over all tenants."""

from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.workflow.adapters.outages import as_store_away
from services.workflow.app.offered import Offered, OfferedPage
from services.workflow.limits import OFFERED_PAGE, OFFERED_PAGE_BYTES
from shared.db.queries import load_queries
from shared.eventstore.ports import EventLog

_sql = load_queries(Path(__file__).parent / "sql" / "workflows.sql")

# What a tool is made of. The steps are nobody else's business.
_TOLD = ("name", "description", "input_schema", "expose_as_tool")


class PostgresOffered:
    """`OfferedWorkflows` over the worker pool."""

    def __init__(self, pool: "asyncpg.Pool[Any]", log: EventLog) -> None:
        self._pool = pool
        self._log = log

    async def page(self, after: UUID) -> OfferedPage:
        """Return those behind this id. The position is read first, so that it never says too much."""
        with as_store_away():
            position = await self._log.last_position()
            rows = await self._pool.fetch(_sql.offered, after, OFFERED_PAGE, OFFERED_PAGE_BYTES)
        return OfferedPage([_offered(row) for row in rows], position, bool(rows))


def _offered(row: Any) -> Offered:
    definition = msgspec.json.decode(row["definition"], type=dict[str, Any])
    told = {name: definition[name] for name in _TOLD if name in definition}
    return Offered(row["tenant_id"], row["id"], row["stream_version"], row["slug"], told)
