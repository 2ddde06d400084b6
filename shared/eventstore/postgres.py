"""The event store on Postgres, by asyncpg."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from shared.db.pool import Connection, TenantPool
from shared.db.queries import load_queries
from shared.eventstore.errors import ConcurrentAppend
from shared.eventstore.event import LogPage, NewEvent, RecordedEvent, Snapshot
from shared.limits import PAGE_INLINE_BYTES, PAGE_MAX_BYTES
from shared.scope import TenantScope

_sql = load_queries(Path(__file__).parent / "sql" / "events.sql")

Columns = tuple[list[UUID], list[UUID], list[int], list[str], list[bytes], list[bytes]]


def columns(events: Sequence[NewEvent]) -> Columns:
    """Return the events as the six arrays that `platform.append_events` takes."""
    return (
        [e.tenant_id for e in events],
        [e.stream_id for e in events],
        [e.version for e in events],
        [e.type for e in events],
        [e.data for e in events],
        [e.meta for e in events],
    )


def names_version(error: asyncpg.UniqueViolationError) -> bool:
    """Whether a version of a stream exists already. A partition's constraint has its own name after the log's."""
    return (error.constraint_name or "").startswith("events_stream_version")


async def append_in(connection: Connection, events: Sequence[NewEvent]) -> int:
    """Append inside the caller's transaction (the last thing it does: the log's lock is held until commit)."""
    try:
        return int(await connection.fetchval(_sql.append, *columns(events)))
    except asyncpg.UniqueViolationError as error:
        if not names_version(error):
            raise
        raise ConcurrentAppend(frozenset(e.stream_id for e in events)) from error


def _recorded(rows: Sequence[Any]) -> list[RecordedEvent]:
    return [RecordedEvent(*row) for row in rows]


class PostgresEventLog:
    """`EventLog` over a pool of the service's worker role."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool

    async def append(self, events: Sequence[NewEvent]) -> int:
        """Append all or nothing in one round trip."""
        if not events:
            return await self.last_position()
        async with self._pool.acquire() as connection:
            return await append_in(connection, events)

    async def versions(self, stream_ids: Sequence[UUID]) -> dict[UUID, int]:
        """Return the last version of each stream that exists."""
        return {row[0]: row[1] for row in await self._pool.fetch(_sql.versions, list(stream_ids))}

    async def read_streams(
        self, stream_ids: Sequence[UUID], *, whole: bool = False
    ) -> Mapping[UUID, list[RecordedEvent]]:
        """Return each stream's events since its snapshot, or all, in one query."""
        query = _sql.read_whole_streams if whole else _sql.read_streams
        found: dict[UUID, list[RecordedEvent]] = {stream_id: [] for stream_id in stream_ids}
        for row in await self._pool.fetch(query, list(stream_ids)):
            found[row[2]].append(RecordedEvent(*row))
        return found

    async def read_page(self, after: int, limit: int, types: Sequence[str] = ()) -> LogPage:
        """Return the stretch of the log after a position, at most `limit` positions and `PAGE_MAX_BYTES` long."""
        if types:
            rows = await self._pool.fetch(_sql.read_page_of_types, after, limit, PAGE_INLINE_BYTES, list(types))
        else:
            rows = await self._pool.fetch(_sql.read_page, after, limit, PAGE_INLINE_BYTES)
        upto = rows[0]["upto"]
        if upto <= after:
            return LogPage(after, [])
        found: list[Any] = []
        size = 0
        for row in rows:
            if row[0] is None:
                continue
            if size >= PAGE_MAX_BYTES:
                return LogPage(found[-1][0], await self._whole(found), True)
            found.append(row)
            size += row["size"]
        return LogPage(upto, await self._whole(found), upto - after == limit)

    async def _whole(self, rows: list[Any]) -> list[RecordedEvent]:
        """Return the events of a page with the data that is too large to come along before its size is known."""
        large = [row[0] for row in rows if row["data"] is None]
        data = dict(await self._pool.fetch(_sql.read_data, large)) if large else {}
        return [
            RecordedEvent(row[0], row[1], row[2], row[3], row[4], data.get(row[0], row[5]), row[6], row[7])
            for row in rows
        ]

    async def last_position(self) -> int:
        """Return the highest position, 0 if there is none."""
        return int(await self._pool.fetchval(_sql.last_position))

    async def load_snapshots(self, stream_ids: Sequence[UUID]) -> Mapping[UUID, Snapshot]:
        """Return the snapshots that exist for these streams."""
        rows = await self._pool.fetch(_sql.load_snapshots, list(stream_ids))
        return {row[1]: Snapshot(*row) for row in rows}

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot in place of an older one."""
        await self._pool.execute(
            _sql.save_snapshot, snapshot.tenant_id, snapshot.stream_id, snapshot.version, snapshot.state
        )

    async def read_checkpoint(self, name: str) -> int:
        """Return how far a tail has read, 0 if it never did."""
        return int(await self._pool.fetchval(_sql.read_checkpoint, name) or 0)

    async def save_checkpoint(self, name: str, position: int) -> None:
        """Keep how far a tail has read."""
        await self._pool.execute(_sql.save_checkpoint, name, position)


class PostgresEventReader:
    """`EventReader` over the pool that answers requests."""

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool

    async def read_stream(
        self, scope: TenantScope, stream_id: UUID, *, after: int = 0, upto: int | None = None, limit: int | None = None
    ) -> list[RecordedEvent]:
        """Return a stream's events with `after < version <= upto`, as row-level security shows them."""
        async with self._pool.connection(scope) as connection:
            return _recorded(await connection.fetch(_sql.read_stream, stream_id, after, upto, limit))

    async def read_checkpoint(self, name: str) -> int:
        """Return how far a tail has read, 0 if it never did."""
        return int(await self._pool.shared_value(_sql.read_checkpoint, name) or 0)
