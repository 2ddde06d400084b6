"""Which workflows are tools, on Postgres."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.mcp_gateway.adapters.outages import as_unavailable
from services.mcp_gateway.app.exposing import WorkflowFact
from services.mcp_gateway.domain.exposed import ExposedWorkflow
from services.mcp_gateway.limits import EXPOSED_BYTES_MAX, TOOLS_MAX
from shared.db.pool import TenantPool
from shared.db.queries import load_queries
from shared.scope import TenantScope

_sql = load_queries(Path(__file__).parent / "exposed.sql")
_decode = msgspec.json.Decoder(ExposedWorkflow).decode


class ExposedWorkflows:
    """`ExposedStore`: written over all tenants, read by one."""

    def __init__(self, tenants: TenantPool, workers: "asyncpg.Pool[Any]") -> None:
        self._tenants = tenants
        self._workers = workers

    async def take(self, fact: WorkflowFact, *, surely: bool = False) -> bool:
        """Take what is newer than what is there, or as new (`surely`); return whether the tenant's tools changed."""
        tool = None if fact.tool is None else msgspec.json.encode(fact.tool)
        about_tool = (tool, fact.version if fact.defines else 0)
        about_status = ("unknown", 0) if fact.status is None else (fact.status, fact.version)
        key = (fact.tenant_id, fact.workflow_id)
        with as_unavailable():
            changed = await self._workers.fetchval(_sql.take, *key, *about_tool, *about_status, fact.position, surely)
        return bool(changed)

    async def drop_others(self, kept: Sequence[UUID], position: int) -> set[UUID]:
        """Take note that what was known at `position` and is none of these is no tool; return whose tools changed."""
        with as_unavailable():
            rows = await self._workers.fetch(_sql.drop_others, list(kept), position)
        return {row["tenant_id"] for row in rows}

    async def listed(self, scope: TenantScope) -> list[ExposedWorkflow]:
        """Return the tenant's workflows that are tools, those that changed last at the end."""
        with as_unavailable():
            async with self._tenants.connection(scope) as connection:
                rows = await connection.fetch(_sql.listed, TOOLS_MAX, EXPOSED_BYTES_MAX)
        return [_decode(row["tool"]) for row in rows]
