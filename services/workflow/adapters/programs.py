"""Compiled definitions, cached: a revision never changes."""

import asyncio
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from services.workflow.adapters.outages import as_store_away
from services.workflow.app.ports import Resolved
from services.workflow.domain.language.parsing import parse_definition
from services.workflow.domain.language.program import Program, compile_program
from services.workflow.errors import WorkflowNotActive, WorkflowNotFound
from services.workflow.limits import ENGINE_PROGRAMS_CACHED, RESOLVED_CACHE_S
from shared.db.queries import load_queries

_sql = load_queries(Path(__file__).parent / "sql" / "workflows.sql")


class ProgramCache:
    """The programs that were compiled last."""

    def __init__(self) -> None:
        self._programs: OrderedDict[tuple[UUID, ...], Program] = OrderedDict()

    def get(self, *key: Any) -> Program | None:
        """Return what is kept under the key."""
        return self._programs.get(key)

    def compile(self, raw: bytes | None, workflow_id: UUID, revision: int, *key: Any) -> Program:
        """Compile a stored definition and keep it. Raises `WorkflowNotFound` if there is none."""
        if raw is None:
            raise WorkflowNotFound(f"There is no revision {revision} of workflow {workflow_id}.")
        program = self._programs[key] = compile_program(parse_definition(bytes(raw)))
        while len(self._programs) > ENGINE_PROGRAMS_CACHED:
            self._programs.popitem(last=False)
        return program


class PostgresPrograms:
    """`Programs` over the worker pool."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool
        self._programs = ProgramCache()
        self._resolved: dict[tuple[UUID, str], tuple[float, Resolved]] = {}
        self._asking: dict[tuple[UUID, str], asyncio.Task[Resolved]] = {}

    async def load(self, workflow_id: UUID, revision: int) -> Program:
        """Return a revision, compiled. Raises `StoreAway` as well as what the port says."""
        program = self._programs.get(workflow_id, revision)
        if program is None:
            with as_store_away():
                raw = await self._pool.fetchval(_sql.definition, workflow_id, revision)
            program = self._programs.compile(raw, workflow_id, revision, workflow_id, revision)
        return program

    async def resolve(self, tenant_id: UUID, workflow: str) -> Resolved:
        """Return the active revision of a workflow by id or slug; what was found is believed for a second."""
        key = (tenant_id, workflow)
        known = self._resolved.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        asking = self._asking.get(key)
        if asking is None:  # many ask at the same moment: each time that what is known has grown old
            asking = self._asking[key] = asyncio.create_task(self._ask(tenant_id, workflow))
            asking.add_done_callback(lambda _: self._asking.pop(key))
        return await asyncio.shield(asking)

    async def _ask(self, tenant_id: UUID, workflow: str) -> Resolved:
        with as_store_away():
            row = await self._pool.fetchrow(_sql.resolve, tenant_id, as_uuid(workflow), workflow)
        if row is None:
            raise WorkflowNotFound(f"There is no workflow {workflow!r}.")
        if row["status"] != "active":
            raise WorkflowNotActive(f"The workflow {workflow!r} is {row['status']}: activate it first.")
        resolved = Resolved(row["id"], row["revision"])
        if len(self._resolved) >= ENGINE_PROGRAMS_CACHED:
            self._resolved.clear()
        self._resolved[(tenant_id, workflow)] = (time.monotonic() + RESOLVED_CACHE_S, resolved)
        return resolved


def as_uuid(text: str) -> UUID | None:
    """Return the id that a text is, None if it is something else (a slug)."""
    try:
        return UUID(text)
    except ValueError:
        return None
