"""Which active workflows an event of a tenant starts."""

from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from services.workflow.app.ports import Triggered
from services.workflow.domain.language.definition import EventTrigger
from services.workflow.domain.language.parsing import parse_definition
from shared.db.queries import load_queries

_sql = load_queries(Path(__file__).parent / "sql" / "workflows.sql")


class PostgresTriggers:
    """Event triggers of a tenant's active workflows."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool

    async def of(self, tenant_id: UUID) -> list[Triggered]:
        """Return them."""
        rows = await self._pool.fetch(_sql.triggered_by, tenant_id)
        return [
            Triggered(row["id"], row["revision"], trigger)
            for row in rows
            for trigger in parse_definition(bytes(row["definition"])).triggers
            if isinstance(trigger, EventTrigger)
        ]
