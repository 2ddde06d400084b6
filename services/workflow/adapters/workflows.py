"""Workflows on Postgres: the row is written in the transaction of its event."""

import datetime as dt
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from services.workflow.app.definitions import WorkflowRow
from services.workflow.domain.workflow_events import WORKFLOW_EVENTS, WorkflowDefined, WorkflowRevised
from services.workflow.errors import SlugTaken, WorkflowNotFound
from shared.db.pool import Connection, TenantPool
from shared.db.queries import load_queries
from shared.eventstore.catalogue import DomainEvent
from shared.eventstore.event import EventMeta, NewEvent, encode_meta
from shared.eventstore.postgres import append_in
from shared.scope import TenantScope
from shared.tail.waker import Waker
from shared.telemetry.trace import current_traceparent

_sql = load_queries(Path(__file__).parent / "sql" / "workflows.sql")


class PostgresWorkflows:
    """`WorkflowRepository` over the pool that answers requests."""

    def __init__(self, pool: TenantPool, waker: Waker) -> None:
        self._pool = pool
        self._waker = waker

    async def get(self, scope: TenantScope, workflow_id: UUID) -> WorkflowRow:
        """Return a workflow."""
        record = await self.read(scope, workflow_id, None)
        fields = {name: record[name] for name in WorkflowRow.__struct_fields__}
        return WorkflowRow(**{**fields, "definition": bytes(record["definition"])})

    async def read(self, scope: TenantScope, workflow_id: UUID | None, slug: str | None) -> Any:
        """Return the full row, counters included, by id or slug."""
        async with self._pool.connection(scope) as connection:
            record = await connection.fetchrow(_sql.get, workflow_id, slug)
        if record is None:
            raise WorkflowNotFound(f"There is no workflow {workflow_id or slug}.")
        return record

    async def page(
        self,
        scope: TenantScope,
        *,
        category: str | None,
        tag: str | None,
        q: str | None,
        status: str | None,
        offset: int,
        limit: int,
    ) -> list[Any]:
        """Return rows, oldest first, each with the total in `total`."""
        async with self._pool.connection(scope) as connection:
            return list(await connection.fetch(_sql.list, category, tag, q, status, offset, limit))

    async def revisions(self, scope: TenantScope, workflow_id: UUID) -> list[Any]:
        """Return every revision, newest first."""
        async with self._pool.connection(scope) as connection:
            return list(await connection.fetch(_sql.revisions, workflow_id))

    async def has_executions(self, scope: TenantScope, workflow_id: UUID) -> bool:
        """Return whether the workflow ever ran."""
        async with self._pool.connection(scope) as connection:
            return bool(await connection.fetchval(_sql.has_executions, workflow_id))

    async def save(
        self,
        scope: TenantScope,
        row: WorkflowRow | None,
        workflow_id: UUID,
        expected: int,
        event: DomainEvent,
        now: dt.datetime,
    ) -> int:
        """Write the row with its event."""
        meta = encode_meta(EventMeta(scope.actor, str(workflow_id), None, current_traceparent()))
        new = NewEvent(scope.tenant_id, workflow_id, expected + 1, event.TYPE, WORKFLOW_EVENTS.encode(event), meta)
        async with self._pool.transaction(scope) as connection:
            if row is None:
                await connection.execute(_sql.delete, workflow_id)
            else:
                await self._write(connection, scope, row, event, now)
            position = await append_in(connection, [new])
        self._waker.wake()
        return position

    async def _write(
        self, connection: Connection, scope: TenantScope, row: WorkflowRow, event: DomainEvent, now: dt.datetime
    ) -> None:
        head = (row.slug, row.name, row.description, row.category, row.tags, row.version, row.revision, row.status)
        tail = (row.definition, row.event_subjects, row.stream_version)
        try:
            if isinstance(event, WorkflowDefined):
                await connection.execute(_sql.insert, scope.tenant_id, row.id, *head, *tail, scope.actor, now)
            else:
                await connection.execute(_sql.update, row.id, *head, *tail, now)
        except asyncpg.UniqueViolationError as error:
            raise SlugTaken(f"There is a workflow with the slug {row.slug!r} already.") from error
        if isinstance(event, WorkflowDefined | WorkflowRevised):
            await connection.execute(
                _sql.insert_revision, scope.tenant_id, row.id, row.revision, row.definition, scope.actor, now
            )
