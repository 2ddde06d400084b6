"""What the application needs from outside."""

import datetime as dt
from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import msgspec

from services.workflow.app.family import Orphan
from services.workflow.domain.language.definition import EventTrigger
from services.workflow.domain.language.program import Program
from services.workflow.errors import StoreAway
from shared.bus.tasks import Task, TaskResult
from shared.eventstore.event import NewEvent, RecordedEvent, Snapshot
from shared.paging import Place
from shared.scope import TenantScope

# What a store that is away raises. Anything else from it is a bug.
OUTAGES: tuple[type[Exception], ...] = (OSError, StoreAway)


class StatusRow(msgspec.Struct, frozen=True):
    """The status row of an execution, written with the events that changed it.

    `attributes` and `tags` are written once, with the first event.
    """

    tenant_id: UUID
    id: UUID
    workflow_id: UUID
    revision: int
    status: str
    started_at: dt.datetime
    completed_at: dt.datetime | None
    version: int
    trigger: str = "unknown"
    error_code: str | None = None
    attributes: dict[str, Any] = {}
    tags: list[str] = []


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

    async def read_streams(
        self, stream_ids: Sequence[UUID], *, whole: bool = False
    ) -> Mapping[UUID, list[RecordedEvent]]:
        """Return each execution's events since its snapshot, or all (`whole`)."""
        ...

    async def load_snapshots(self, stream_ids: Sequence[UUID]) -> Mapping[UUID, Snapshot]:
        """Return the snapshots that exist."""
        ...

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot."""
        ...

    async def versions(self, stream_ids: Sequence[UUID]) -> Mapping[UUID, int]:
        """Return the last version of each execution that exists."""
        ...

    async def open_executions(self, partitions: Sequence[int], after: UUID, limit: int) -> list[UUID]:
        """Return ids of executions of these partitions that have not ended, in order of id."""
        ...

    async def archived(self, ids: Sequence[UUID]) -> Mapping[UUID, StatusRow]:
        """Return those of these executions that are in the archive, as they ended."""
        ...


class Owners(msgspec.Struct, frozen=True):
    """Who lives, oldest first, and which living engine owns which partition, at one moment."""

    living: list[UUID]
    by_partition: dict[int, UUID]


class Claimed(msgspec.Struct, frozen=True):
    """A partition that was taken. `handed`: what its last owner had begun is recorded and still under way."""

    partition: int
    handed: bool


class Leases(Protocol):
    """Who owns which partitions, agreed by all processes. Whatever fails raises `StoreAway`."""

    async def renew(self) -> Owners:
        """Be counted among the living for `LEASE_S` more; return who lives and what they own."""
        ...

    async def claim(self, partitions: Sequence[int]) -> list[Claimed]:
        """Take those of them that no living engine owns."""
        ...

    async def release(self, partitions: Sequence[int]) -> None:
        """Give back."""
        ...

    async def leave(self) -> None:
        """Give everything back and be counted no longer."""
        ...


class Routes(Protocol):
    """The way of results and commands to the owner of their partition."""

    async def open(self, partitions: Collection[int]) -> None:
        """Hear results of these partitions."""
        ...

    def close(self, partitions: Collection[int]) -> None:
        """Take note that they are decided here no longer. Their results are kept until another process hears them."""
        ...

    def follow(self, owners: Mapping[int, UUID]) -> None:
        """Take note of which engine owns which partition: what is kept for others is sent on."""
        ...

    def forward(self, results: Sequence[TaskResult]) -> None:
        """Send results of executions of other partitions on to their owner, once there is one."""
        ...

    def tell(self, taken: Collection[int] = ()) -> None:
        """Say that these partitions are decided here now; all other processes look at the leases."""
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

    def tell_family(self, ends: Sequence[TaskResult], orphans: Sequence[Orphan]) -> Awaitable[None]:
        """Tell parents how their children ended, and children that nobody needs them. What is lost is found again."""
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


class RevisionRows(NamedTuple):
    """A page of revisions; `following` is the `before` of the next one, None on the last."""

    rows: list[Any]
    total: int
    following: int | None


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

    async def revisions(
        self, scope: TenantScope, workflow_id: UUID, before: int | None, offset: int, limit: int
    ) -> RevisionRows:
        """Return a page of revisions, newest first, of those before `before`; its definitions are bounded in bytes."""
        ...

    async def definition(self, scope: TenantScope, workflow_id: UUID, revision: int) -> bytes:
        """Return a revision as it is stored: JSON. Raises `WorkflowNotFound`."""
        ...

    async def program(self, scope: TenantScope, workflow_id: UUID, revision: int) -> Program:
        """Return a revision, compiled. Raises `NotFound`."""
        ...

    async def counted_upto(self) -> int:
        """Return the position of the log up to which the counters count."""
        ...


class HistoryReader(Protocol):
    """One tenant's executions, archived or not."""

    async def read_stream(self, scope: TenantScope, stream_id: UUID) -> list[RecordedEvent]:
        """Return the history of an execution, in order; none of one that does not exist. May raise `PlatformError`."""
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

    async def newest_ended(self, scope: TenantScope, workflow_id: UUID, before: Place | None, limit: int) -> list[Any]:
        """Return status rows of a workflow's executions that ended, newest first."""
        ...

    async def ended(self, scope: TenantScope, ids: Sequence[UUID]) -> list[UUID]:
        """Return those of these executions that ended."""
        ...
