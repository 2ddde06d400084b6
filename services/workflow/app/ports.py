"""What the application needs from outside."""

import datetime as dt
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

import msgspec

from services.workflow.domain.language.definition import EventTrigger
from services.workflow.domain.language.program import Program
from services.workflow.errors import StoreAway
from shared.bus.tasks import Task
from shared.eventstore.event import NewEvent, RecordedEvent, Snapshot
from shared.paging import Place
from shared.scope import TenantScope

# What a store that is away raises. Anything else from it is a bug.
OUTAGES: tuple[type[Exception], ...] = (OSError, StoreAway)


class StatusRow(msgspec.Struct, frozen=True):
    """The status row of an execution, written with the events that changed it."""

    tenant_id: UUID
    id: UUID
    workflow_id: UUID
    revision: int
    status: str
    started_at: dt.datetime
    completed_at: dt.datetime | None
    version: int


class ArchivedHistory(list[RecordedEvent]):
    """A history that came from the archive."""


class Transition(msgspec.Struct, frozen=True):
    """What one decision on one execution writes, all or nothing."""

    events: list[NewEvent]
    row: StatusRow | None


class TransitionStore(Protocol):
    """The engine's side of the event store."""

    async def record(self, transitions: Sequence[Transition]) -> tuple[int, list[Transition]]:
        """Write in one commit; return the last position and the transitions that another writer was ahead of."""
        ...

    async def read_streams(self, stream_ids: Sequence[UUID]) -> Mapping[UUID, list[RecordedEvent]]:
        """Return each execution's events since its snapshot."""
        ...

    async def load_snapshots(self, stream_ids: Sequence[UUID]) -> Mapping[UUID, Snapshot]:
        """Return the snapshots that exist."""
        ...

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot."""
        ...

    async def open_executions(self, after: UUID, limit: int) -> list[UUID]:
        """Return ids of executions that have not ended, in order of id."""
        ...

    async def archived(self, ids: Sequence[UUID]) -> Mapping[UUID, StatusRow]:
        """Return those of these executions that are in the archive, as they ended."""
        ...


class Resolved(msgspec.Struct, frozen=True):
    """A workflow by name made definite."""

    workflow_id: UUID
    revision: int


class Programs(Protocol):
    """Compiled definitions."""

    async def load(self, workflow_id: UUID, revision: int) -> Program:
        """Return a revision, compiled. Raises `NotFound`."""
        ...

    async def resolve(self, tenant_id: UUID, workflow: str) -> Resolved:
        """Return the active revision of a workflow by id or slug. Raises `NotFound` or `WorkflowNotActive`."""
        ...


class Dispatch(Protocol):
    """The way to the workers."""

    def send(self, tasks: Sequence[tuple[str, Task]]) -> Awaitable[None]:
        """Publish tasks by step type, pipelined. One that is lost is sent again: the engine hears nothing of it."""
        ...


class Triggered(msgspec.Struct, frozen=True):
    """An event trigger of an active workflow."""

    workflow_id: UUID
    revision: int
    trigger: EventTrigger


class Triggers(Protocol):
    """Which workflows an event may start."""

    async def of(self, tenant_id: UUID) -> list[Triggered]:
        """Return the event triggers of a tenant's active workflows."""
        ...


class WorkflowFilter(msgspec.Struct, frozen=True):
    """Which workflows; None does not narrow."""

    slug: str | None = None
    category: str | None = None
    tag: str | None = None
    q: str | None = None
    status: str | None = None


class WorkflowReads(Protocol):
    """Stored workflows, for requests of one tenant. Rows are read by column name."""

    async def read(self, scope: TenantScope, workflow_id: UUID | None, slug: str | None) -> Any:
        """Return one by id or slug, with its counters. Raises `WorkflowNotFound`."""
        ...

    async def page(
        self, scope: TenantScope, wanted: WorkflowFilter, after: Place | None, offset: int, limit: int
    ) -> tuple[list[Any], int]:
        """Return a page, oldest first, and how many there are in all."""
        ...

    async def revisions(self, scope: TenantScope, workflow_id: UUID) -> list[Any]:
        """Return every revision, newest first."""
        ...

    async def program(self, scope: TenantScope, workflow_id: UUID, revision: int) -> Program:
        """Return a revision, compiled. Raises `NotFound`."""
        ...

    async def counted_upto(self) -> int:
        """Return the position of the log up to which the counters count."""
        ...


class ExecutionReads(Protocol):
    """Executions, for requests of one tenant."""

    async def row(self, scope: TenantScope, execution_id: UUID) -> Any:
        """Return the status row. Raises `ExecutionNotFound`."""
        ...

    async def history(
        self,
        scope: TenantScope,
        execution_id: UUID,
        *,
        after: int = 0,
        upto: int | None = None,
        limit: int | None = None,
    ) -> list[RecordedEvent]:
        """Return events, in order; from the archive an `ArchivedHistory`.

        Raises `ExecutionNotFound` if there are none at all, `ArchiveUnreadable`.
        """
        ...

    async def page(
        self,
        scope: TenantScope,
        *,
        workflow_id: UUID | None,
        status: str | None,
        before: Place | None,
        offset: int,
        limit: int,
    ) -> tuple[list[Any], int]:
        """Return status rows, newest first, and how many there are in all."""
        ...

    async def ended(self, scope: TenantScope, ids: Sequence[UUID]) -> list[UUID]:
        """Return those of these executions that ended."""
        ...
