"""Workflows on Postgres: the row is written in the transaction of its event."""

import datetime as dt
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from services.workflow.adapters.counters import WorkflowCounters
from services.workflow.adapters.programs import ProgramCache
from services.workflow.adapters.trigger_rows import write_triggers
from services.workflow.app.definitions import WorkflowRow
from services.workflow.app.ports import RevisionRows, WorkflowFilter
from services.workflow.domain.language.program import Program
from services.workflow.domain.workflow_events import WORKFLOW_EVENTS, WorkflowDefined, WorkflowRevised
from services.workflow.errors import SlugTaken, ToolNameTaken, WorkflowExists, WorkflowNotFound
from services.workflow.limits import REVISIONS_PAGE_BYTES
from shared.db.pool import Connection, TenantPool
from shared.db.queries import load_queries
from shared.eventstore.catalogue import DomainEvent
from shared.eventstore.errors import ConcurrentAppend
from shared.eventstore.event import EventMeta, NewEvent, encode_meta
from shared.eventstore.ports import EventReader
from shared.eventstore.postgres import append_in
from shared.paging import Place
from shared.scope import TenantScope
from shared.tail.waker import Waker
from shared.telemetry.trace import current_traceparent

_sql = load_queries(Path(__file__).parent / "sql" / "workflows.sql")


class _IdTaken(Exception):
    pass


class PostgresWorkflows:
    """`WorkflowRepository` over the pool that answers requests."""

    def __init__(self, pool: TenantPool, reader: EventReader, waker: Waker) -> None:
        self._pool = pool
        self._reader = reader
        self._waker = waker
        self._programs = ProgramCache()

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
        self, scope: TenantScope, wanted: WorkflowFilter, after: Place | None, offset: int, limit: int
    ) -> tuple[list[Any], int]:
        """Return a page, oldest first, and how many there are in all."""
        narrowed = (wanted.slug, wanted.category, wanted.tag, wanted.q, wanted.status)
        place = after or (None, None)
        async with self._pool.connection(scope) as connection:
            rows = await connection.fetch(_sql.list, *narrowed, *place, offset, limit)
            return list(rows), int(await connection.fetchval(_sql.count, *narrowed))

    async def revisions(
        self, scope: TenantScope, workflow_id: UUID, before: int | None, offset: int, limit: int
    ) -> RevisionRows:
        """Return a page of revisions, newest first."""
        page = (before, offset, limit, REVISIONS_PAGE_BYTES)
        async with self._pool.connection(scope) as connection:
            rows = list(await connection.fetch(_sql.revisions, workflow_id, *page))
            counted = await connection.fetchrow(_sql.count_revisions, workflow_id)
        following = rows[-1]["revision"] if rows and rows[-1]["revision"] > counted["oldest"] else None
        return RevisionRows(rows, counted["total"], following)

    async def definition(self, scope: TenantScope, workflow_id: UUID, revision: int) -> bytes:
        """Return a revision as it is stored."""
        async with self._pool.connection(scope) as connection:
            raw = await connection.fetchval(_sql.definition, workflow_id, revision)
        if raw is None:
            raise WorkflowNotFound(f"There is no revision {revision} of workflow {workflow_id}.")
        return bytes(raw)

    async def program(self, scope: TenantScope, workflow_id: UUID, revision: int) -> Program:
        """Return a revision, compiled."""
        key = (scope.tenant_id, workflow_id, revision)
        program = self._programs.get(*key)
        if program is None:
            async with self._pool.connection(scope) as connection:
                raw = await connection.fetchval(_sql.definition, workflow_id, revision)
            program = self._programs.compile(raw, workflow_id, revision, *key)
        return program

    async def counted_upto(self) -> int:
        """Return the position up to which the counters count."""
        return await self._reader.read_checkpoint(WorkflowCounters.name)

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
        try:
            async with self._pool.transaction(scope) as connection:
                if row is None:
                    await connection.execute(_sql.delete, workflow_id)
                else:
                    await self._write(connection, scope, row, event, now)
                await write_triggers(connection, scope, workflow_id, row, event, now)
                position = await append_in(connection, [new])
        except _IdTaken as error:
            async with self._pool.connection(scope) as connection:
                defined = await connection.fetchval(_sql.defined_at, workflow_id)
            if defined is None:  # it is another tenant's: an id that nobody could know
                raise ConcurrentAppend(frozenset({workflow_id})) from error
            raise WorkflowExists(workflow_id, defined) from error
        self._waker.wake()
        return position

    async def _write(
        self, connection: Connection, scope: TenantScope, row: WorkflowRow, event: DomainEvent, now: dt.datetime
    ) -> None:
        head = (row.slug, row.name, row.description, row.category, row.tags, row.version, row.revision, row.status)
        tail = (row.definition, row.event_subjects, row.tool_name, row.stream_version)
        try:
            if isinstance(event, WorkflowDefined):
                await connection.execute(_sql.insert, scope.tenant_id, row.id, *head, *tail, scope.actor, now)
            else:
                await connection.execute(_sql.update, row.id, *head, *tail, now)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == "workflows_tool_name":
                raise ToolNameTaken(f"Another workflow is the tool {row.tool_name!r} already.") from error
            if error.constraint_name != "workflows_slug":
                raise _IdTaken from error
            raise SlugTaken(f"There is a workflow with the slug {row.slug!r} already.") from error
        if isinstance(event, WorkflowDefined | WorkflowRevised):
            await connection.execute(
                _sql.insert_revision, scope.tenant_id, row.id, row.revision, row.definition, scope.actor, now
            )
