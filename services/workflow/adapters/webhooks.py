"""Webhooks on Postgres: those of a workflow for its tenant, and one by its id for whoever shows its token."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from services.workflow.adapters.outages import as_store_away
from services.workflow.app.hooks import Addressed
from services.workflow.app.webhooks import WebhookRow
from shared.db.pool import TenantPool
from shared.db.queries import load_queries
from shared.scope import TenantScope

_sql = load_queries(Path(__file__).parent / "sql" / "triggers.sql")


class PostgresWebhooks:
    """`WebhookReads` and `WebhookAddresses`. A request to a webhook is no tenant's before its token is known."""

    def __init__(self, pool: TenantPool, worker_pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool
        self._worker_pool = worker_pool

    async def of(self, scope: TenantScope, workflow_id: UUID) -> Sequence[WebhookRow]:
        """Return the webhooks of a workflow, by name."""
        async with self._pool.connection(scope) as connection:
            rows = await connection.fetch(_sql.webhooks, workflow_id)
        return [WebhookRow(**dict(row)) for row in rows]

    async def addressed(self, webhook_id: UUID) -> Addressed | None:
        """Return a webhook and where its workflow stands now."""
        with as_store_away():
            row = await self._worker_pool.fetchrow(_sql.webhook, webhook_id)
        return None if row is None else Addressed(webhook_id, **dict(row))
