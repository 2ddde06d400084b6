"""The tenants' own entries of the catalogue on Postgres: every row is written with its event."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.mcp_gateway.app.catalogue import Shelved
from services.mcp_gateway.domain.catalogue.entries import Entry, entry_of
from services.mcp_gateway.domain.catalogue.server_json import ServerJson
from services.mcp_gateway.domain.events import CATALOGUE, CatalogueEntryAdded, CatalogueEntryRemoved
from services.mcp_gateway.errors import EntryExists
from services.mcp_gateway.limits import CATALOGUE_ENTRIES_PER_TENANT_MAX
from shared.db.pool import TenantPool
from shared.db.queries import load_queries
from shared.errors import Conflict
from shared.eventstore.catalogue import DomainEvent
from shared.eventstore.event import EventMeta, NewEvent, encode_meta
from shared.eventstore.postgres import append_in
from shared.scope import TenantScope
from shared.telemetry.trace import current_trace_id, current_traceparent

_sql = load_queries(Path(__file__).parent / "catalogue.sql")
_decode = msgspec.json.Decoder(ServerJson).decode
_SHOWN = ("slug", "name", "title", "description", "version", "added_at")


class PostgresShelf:
    """`Shelf`. `wake` is told of every commit."""

    def __init__(self, pool: TenantPool, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._wake = wake

    async def entries(self, scope: TenantScope) -> list[Entry]:
        async with self._pool.connection(scope) as connection:
            return [_entry(row) for row in await connection.fetch(_sql.list)]

    async def find(self, scope: TenantScope, slug: str) -> Shelved | None:
        async with self._pool.connection(scope) as connection:
            row = await connection.fetchrow(_sql.find, slug)
        return None if row is None else Shelved(_entry(row), _decode(row["server"]))

    async def add(self, scope: TenantScope, server: ServerJson, entry_id: UUID) -> tuple[Shelved, int]:
        now = dt.datetime.now(dt.UTC)
        entry = entry_of(server, "own", now)
        try:
            async with self._pool.transaction(scope) as connection:
                _check_room(await connection.fetchval(_sql.count))
                await connection.execute(
                    _sql.insert,
                    *(scope.tenant_id, entry_id, entry.slug, entry.name, entry.title, entry.description),
                    *(entry.version, list(entry.kinds), msgspec.json.encode(server).decode(), now),
                )
                event = CatalogueEntryAdded(server=msgspec.to_builtins(server))
                position = await append_in(connection, [_new(scope, entry_id, 1, event)])
        except (asyncpg.UniqueViolationError, Conflict) as error:
            known = await self._known(scope, entry.slug, entry_id)
            if known is not None:
                return known
            if isinstance(error, Conflict):
                raise
            raise EntryExists(f"The catalogue has an entry named {server.name!r} already.") from error
        self._wake()
        return Shelved(entry, server), position

    async def remove(self, scope: TenantScope, slug: str) -> int | None:
        async with self._pool.transaction(scope) as connection:
            row = await connection.fetchrow(_sql.find, slug)
            if row is None or not await connection.fetchval(_sql.delete, row["id"]):
                return None
            event = CatalogueEntryRemoved(name=row["name"])
            position = await append_in(connection, [_new(scope, row["id"], 2, event)])
        self._wake()
        return position

    async def _known(self, scope: TenantScope, slug: str, entry_id: UUID) -> tuple[Shelved, int] | None:
        """Return the entry if it was added under this id before: the request is asked again."""
        async with self._pool.connection(scope) as connection:
            row = await connection.fetchrow(_sql.find, slug)
            position = await connection.fetchval(_sql.position_of, entry_id)
        if row is None or row["id"] != entry_id:
            return None
        return Shelved(_entry(row), _decode(row["server"])), position


def _check_room(entries: int) -> None:
    if entries >= CATALOGUE_ENTRIES_PER_TENANT_MAX:
        raise Conflict(f"A tenant has at most {CATALOGUE_ENTRIES_PER_TENANT_MAX} entries of its own.")


def _entry(row: Any) -> Entry:
    return Entry(**{name: row[name] for name in _SHOWN}, kinds=tuple(row["kinds"]), origin="own")


def _new(scope: TenantScope, entry_id: UUID, version: int, event: DomainEvent) -> NewEvent:
    meta = EventMeta(actor=scope.actor, correlation_id=current_trace_id(), traceparent=current_traceparent())
    return NewEvent(scope.tenant_id, entry_id, version, event.TYPE, CATALOGUE.encode(event), encode_meta(meta))
