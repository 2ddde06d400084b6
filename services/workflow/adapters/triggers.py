"""Which active workflows an event of a tenant starts."""

import logging
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from services.workflow.adapters.outages import as_store_away
from services.workflow.app.ports import OUTAGES, Programs, Triggered
from services.workflow.domain.language.definition import EventTrigger
from shared.db.queries import load_queries

_log = logging.getLogger(__name__)
_sql = load_queries(Path(__file__).parent / "sql" / "workflows.sql")


class PostgresTriggers:
    """Event triggers of a tenant's active workflows."""

    def __init__(self, pool: "asyncpg.Pool[Any]", programs: Programs) -> None:
        self._pool = pool
        self._programs = programs

    async def of(self, tenant_id: UUID) -> list[Triggered]:
        """Return them. What a definition says is read once; one that today's code cannot read triggers nothing."""
        with as_store_away():
            rows = await self._pool.fetch(_sql.triggered_by, tenant_id)
        return [trigger for row in rows for trigger in await self._triggers(row["id"], row["revision"])]

    async def _triggers(self, workflow_id: UUID, revision: int) -> list[Triggered]:
        try:
            definition = (await self._programs.load(workflow_id, revision)).definition
        except OUTAGES:
            raise
        except Exception:  # noqa: BLE001 - it was valid once, and must not keep the tenant's events from the others
            _log.exception("revision %d of the workflow %s cannot be read: no event starts it", revision, workflow_id)
            return []
        return [Triggered(workflow_id, revision, t) for t in definition.triggers if isinstance(t, EventTrigger)]
