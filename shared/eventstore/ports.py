"""The contract of an event store. Every implementation passes tests/contract/event_store_conformance.py."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from shared.eventstore.event import LogPage, NewEvent, RecordedEvent, Snapshot
from shared.scope import TenantScope


class EventLog(Protocol):
    """Every tenant's events: for the engine, relays and projections of a service, never for a request."""

    async def append(self, events: Sequence[NewEvent]) -> int:
        """Append all or nothing; return the position of the last. Raises `ConcurrentAppend`."""
        ...

    async def read_streams(
        self, stream_ids: Sequence[UUID], *, whole: bool = False
    ) -> Mapping[UUID, list[RecordedEvent]]:
        """Return each stream's events since its snapshot, or all (`whole`), in order; of unknown ones empty lists."""
        ...

    async def read_page(self, after: int, limit: int, types: Sequence[str] = ()) -> LogPage:
        """Return a stretch of at most `limit` positions above `after` and its events of the given types (all if none).

        A page that reaches no further than `after` means that there is nothing more yet.
        """
        ...

    async def last_position(self) -> int:
        """Return the highest position, 0 if there is none."""
        ...

    async def versions(self, stream_ids: Sequence[UUID]) -> Mapping[UUID, int]:
        """Return the last version of each stream that exists."""
        ...

    async def load_snapshots(self, stream_ids: Sequence[UUID]) -> Mapping[UUID, Snapshot]:
        """Return the snapshots that exist for these streams."""
        ...

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot in place of an older one."""
        ...

    async def read_checkpoint(self, name: str) -> int:
        """Return how far a tail has read, 0 if it never did."""
        ...

    async def save_checkpoint(self, name: str, position: int) -> None:
        """Keep how far a tail has read."""
        ...


class EventReader(Protocol):
    """One tenant's events, for requests."""

    async def read_stream(
        self, scope: TenantScope, stream_id: UUID, *, after: int = 0, upto: int | None = None, limit: int | None = None
    ) -> list[RecordedEvent]:
        """Return a stream's events with `after < version <= upto`, in order."""
        ...

    async def read_checkpoint(self, name: str) -> int:
        """Return how far a tail has read, 0 if it never did. It says nothing of any tenant."""
        ...
