"""Moves executions that ended longer ago than they are kept into the archive.

A batch is planned in the database first (which executions, under which name), then written, read back and held against
what was written; only then does one transaction delete the rows and say where they lie. Whoever comes after a crash
finds the plan and does it again: the same name, and nothing deleted that cannot be read.
"""

import asyncio
import datetime as dt
import hashlib
import logging
from collections.abc import AsyncIterator, Sequence
from itertools import groupby
from typing import Protocol
from uuid import UUID

import msgspec

from services.workflow.app.archive_format import ArchiveFault, Place, line_of, pack
from services.workflow.app.ports import OUTAGES, StatusRow
from services.workflow.errors import ArchiveUnreadable
from services.workflow.limits import (
    ARCHIVE_BATCH_BYTES,
    ARCHIVE_BATCH_EXECUTIONS,
    ARCHIVE_MAX_EXECUTION_BYTES,
    ARCHIVE_MAX_PLANNED,
    ARCHIVE_WORKFLOWS_AT_ONCE,
)
from services.workflow.metrics import RetentionMetrics
from shared.eventstore.event import RecordedEvent
from shared.ids import new_id

_log = logging.getLogger(__name__)


class TailsBehind(Exception):
    """The relay or a projection has not read these events yet: they may not go before it has."""


class Due(msgspec.Struct, frozen=True):
    """A workflow with executions that ended before `cutoff` and are kept no longer."""

    tenant_id: UUID
    workflow_id: UUID
    cutoff: dt.datetime


class Plan(msgspec.Struct, frozen=True):
    """One object that is to be written, and the executions that are to be in it."""

    tenant_id: UUID
    id: UUID
    key: str
    executions: list[UUID]


class Written(msgspec.Struct, frozen=True):
    """An execution that is in an object now."""

    row: StatusRow
    place: Place
    events: list[RecordedEvent]


class Objects(Protocol):
    """Where archives are kept. Every method raises `ArchiveUnreadable` if the store cannot do it."""

    async def put(self, key: str, data: bytes) -> None:
        """Write an object, in place of one of the same name."""
        ...

    async def get(self, key: str) -> bytes:
        """Return an object."""
        ...

    async def get_range(self, key: str, start: int, length: int) -> bytes:
        """Return `length` bytes of an object."""
        ...

    async def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        ...


class ArchiveIndex(Protocol):
    """What the database says of the archive."""

    async def due(self, midnight: dt.datetime, after: Due | None, limit: int) -> list[Due]:
        """Return workflows with executions that are due, by tenant and id."""
        ...

    async def candidates(self, due: Sequence[Due], without: Sequence[UUID], limit: int) -> list[tuple[UUID, dt.date]]:
        """Return executions of these workflows that are due, and the day on which each ended, the oldest first."""
        ...

    async def sizes(self, ids: Sequence[UUID]) -> dict[UUID, int]:
        """Return the bytes of each execution's events."""
        ...

    async def plan(self, plan: Plan) -> None:
        """Keep a plan."""
        ...

    async def planned(self, limit: int) -> list[Plan]:
        """Return the plans that were not carried out, the oldest first."""
        ...

    async def forget(self, plan: Plan) -> None:
        """Drop a plan that has nothing left to archive."""
        ...

    async def read(self, plan: Plan) -> list[tuple[StatusRow, list[RecordedEvent]]]:
        """Return those executions of a plan that are still ended, with their histories."""
        ...

    async def settle(self, plan: Plan, written: Sequence[Written], size: int, sha256: bytes) -> int:
        """Delete the rows of what was written and index it, in one transaction; return how many there were.

        One that changed since it was read stays as it is. Raises `TailsBehind`.
        """
        ...


class Archiver:
    """Archives what is due. One at a time (see `shared.tail.leader`)."""

    def __init__(self, index: ArchiveIndex, objects: Objects, metrics: RetentionMetrics) -> None:
        self._index = index
        self._objects = objects
        self._metrics = metrics
        self._too_large: set[UUID] = set()

    async def archive_due(self, now: dt.datetime) -> int:
        """Archive everything that is due at `now`; return how many executions that were.

        Due are whole days (UTC): those that ended on a day go together, so that objects are few and large.
        """
        archived = 0
        for earlier in await self._index.planned(ARCHIVE_MAX_PLANNED):
            archived += await self._try(earlier)
        left = await self._index.planned(ARCHIVE_MAX_PLANNED)
        self._metrics.planned.set(len(left))
        waiting = {execution for held in left for execution in held.executions}
        midnight = now.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        async for due in self._due(midnight):
            while True:
                if len(left) >= ARCHIVE_MAX_PLANNED:
                    _log.error("nothing more is archived until %d planned objects could be written", len(left))
                    return archived
                plan = await self._plan(due, waiting)
                if plan is None:
                    break
                done = await self._try(plan)
                archived += done
                if not done:
                    left.append(plan)
                    waiting.update(plan.executions)
                self._metrics.planned.set(len(left))
        return archived

    async def _due(self, midnight: dt.datetime) -> AsyncIterator[list[Due]]:
        after: Due | None = None
        while page := await self._index.due(midnight, after, ARCHIVE_WORKFLOWS_AT_ONCE):
            for _, of_tenant in groupby(page, key=lambda due: due.tenant_id):
                yield list(of_tenant)
            after = page[-1]

    async def _plan(self, due: list[Due], waiting: set[UUID]) -> Plan | None:
        """Plan the next object: executions of one tenant and one day, bounded in number and in bytes."""
        while True:
            found = await self._index.candidates(due, [*waiting, *self._too_large], ARCHIVE_BATCH_EXECUTIONS)
            if not found:
                return None
            day = found[0][1]
            sizes = await self._index.sizes([execution for execution, ended in found if ended == day])
            chosen: list[UUID] = []
            room = ARCHIVE_BATCH_BYTES
            for execution, ended in found:
                size = sizes.get(execution, 0)
                if ended != day:
                    continue
                if size > ARCHIVE_MAX_EXECUTION_BYTES:
                    _log.error("%s has %d bytes of events: it stays where it is", execution, size)
                    self._too_large.add(execution)
                    self._metrics.too_large.set(len(self._too_large))
                elif not chosen or size <= room:
                    chosen.append(execution)
                    room -= size
            if chosen:
                tenant_id, object_id = due[0].tenant_id, new_id()
                plan = Plan(tenant_id, object_id, f"{tenant_id}/{day:%Y/%m/%d}/{object_id}.jsonl.gz", sorted(chosen))
                await self._index.plan(plan)
                return plan

    async def _try(self, plan: Plan) -> int:
        """Carry out a plan; what keeps it from being carried out is told, and the plan stays."""
        try:
            return await self._archive(plan)
        except (ArchiveFault, ArchiveUnreadable, TailsBehind) as error:
            _log.warning("the archive object %s has to wait: %s", plan.key, error)
        except OUTAGES as error:
            _log.warning("archiving pauses: %s", error)
        self._metrics.failures.inc()
        return 0

    async def _archive(self, plan: Plan) -> int:
        held = await self._index.read(plan)
        if not held:
            await self._objects.delete(plan.key)
            await self._index.forget(plan)
            return 0
        lines = [line_of(row, events) for row, events in held]
        data, places = await asyncio.to_thread(pack, lines)
        digest = hashlib.sha256(data).digest()
        await self._objects.put(plan.key, data)
        if hashlib.sha256(await self._objects.get(plan.key)).digest() != digest:
            raise ArchiveFault("what was read back is not what was written")
        written = [Written(row, place, events) for (row, events), place in zip(held, places, strict=True)]
        archived = await self._index.settle(plan, written, len(data), digest)
        self._metrics.archived.inc(archived)
        self._metrics.archived_bytes.inc(len(data))
        return archived
