"""The event store in memory, over eventsourcing's plain-object recorder: the fake of unit tests and simulations."""

import datetime as dt
from bisect import insort
from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec
from eventsourcing.persistence import IntegrityError, Notification, StoredEvent
from eventsourcing.popo import POPOApplicationRecorder

from shared.eventstore.errors import ConcurrentAppend
from shared.eventstore.event import LogPage, NewEvent, RecordedEvent, Snapshot
from shared.limits import PAGE_MAX_BYTES
from shared.scope import TenantScope


class _Stored(msgspec.Struct, array_like=True):
    tenant_id: UUID
    data: bytes
    meta: bytes
    recorded_at: dt.datetime


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode


class InMemoryEventLog:
    """`EventLog` and `EventReader` without a database."""

    def __init__(self) -> None:
        self._recorder = POPOApplicationRecorder()
        self._streams: dict[UUID, list[RecordedEvent]] = defaultdict(list)
        self._snapshots: dict[UUID, Snapshot] = {}
        self._checkpoints: dict[str, int] = {}

    async def append(self, events: Sequence[NewEvent]) -> int:
        """Append all or nothing."""
        now = dt.datetime.now(dt.UTC)
        stored = [
            StoredEvent(e.stream_id, e.version, e.type, _encode(_Stored(e.tenant_id, e.data, e.meta, now)))
            for e in events
        ]
        try:
            positions = self._recorder.insert_events(stored) or ()
        except IntegrityError as error:
            raise ConcurrentAppend(frozenset(e.stream_id for e in events)) from error
        for e, position in zip(events, positions, strict=True):
            recorded = RecordedEvent(position, e.tenant_id, e.stream_id, e.version, e.type, e.data, e.meta, now)
            insort(self._streams[e.stream_id], recorded, key=_version)
        return await self.last_position()

    async def versions(self, stream_ids: Sequence[UUID]) -> dict[UUID, int]:
        """Return the last version of each stream that exists."""
        return {s: self._streams[s][-1].version for s in stream_ids if s in self._streams}

    async def read_streams(
        self, stream_ids: Sequence[UUID], *, whole: bool = False
    ) -> Mapping[UUID, list[RecordedEvent]]:
        """Return each stream's events since its snapshot, or all."""
        return {s: self.stream(s, 0 if whole else self._snapshot_version(s)) for s in stream_ids}

    async def read_stream(
        self, scope: TenantScope, stream_id: UUID, *, after: int = 0, upto: int | None = None, limit: int | None = None
    ) -> list[RecordedEvent]:
        """Return one tenant's events of a stream."""
        return [e for e in self.stream(stream_id, after, upto) if e.tenant_id == scope.tenant_id][:limit]

    async def read_page(self, after: int, limit: int, types: Sequence[str] = ()) -> LogPage:
        """Return a stretch of the log."""
        upto = min(await self.last_position(), after + limit)
        if upto <= after:
            return LogPage(after, [])
        found = self._recorder.select_notifications(after, limit, stop=upto, topics=types, inclusive_of_start=False)
        page: list[RecordedEvent] = []
        size = 0
        for event in map(_recorded, found):
            if size >= PAGE_MAX_BYTES:
                return LogPage(page[-1].position, page, True)
            page.append(event)
            size += len(event.data)
        return LogPage(upto, page, upto - after == limit)

    async def last_position(self) -> int:
        """Return the highest position, 0 if there is none."""
        return self._recorder.max_notification_id() or 0

    async def load_snapshots(self, stream_ids: Sequence[UUID]) -> Mapping[UUID, Snapshot]:
        """Return the snapshots that exist for these streams."""
        return {s: self._snapshots[s] for s in stream_ids if s in self._snapshots}

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot in place of an older one."""
        if snapshot.version > self._snapshot_version(snapshot.stream_id):
            self._snapshots[snapshot.stream_id] = snapshot

    async def read_checkpoint(self, name: str) -> int:
        """Return how far a tail has read."""
        return self._checkpoints.get(name, 0)

    async def save_checkpoint(self, name: str, position: int) -> None:
        """Keep how far a tail has read."""
        self._checkpoints[name] = position

    def snapshot(self, stream_id: UUID) -> Snapshot | None:
        """Return the snapshot of a stream, if it has one."""
        return self._snapshots.get(stream_id)

    def _snapshot_version(self, stream_id: UUID) -> int:
        snapshot = self._snapshots.get(stream_id)
        return snapshot.version if snapshot else 0

    def stream(self, stream_id: UUID, after: int = 0, upto: int | None = None) -> list[RecordedEvent]:
        """Return the events of a stream, whatever snapshots there are."""
        found = [e for e in self._streams.get(stream_id, ()) if e.version > after]
        return found if upto is None else [e for e in found if e.version <= upto]


def _version(event: RecordedEvent) -> int:
    return event.version


def _recorded(n: Notification) -> RecordedEvent:
    body = _decode(n.state)
    stream_id = n.originator_id if isinstance(n.originator_id, UUID) else UUID(n.originator_id)
    return RecordedEvent(
        n.id, body.tenant_id, stream_id, n.originator_version, n.topic, body.data, body.meta, body.recorded_at
    )
