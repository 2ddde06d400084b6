"""The registry on Postgres: every row is written with its event, and looked up through a cache of seconds."""

import asyncio
import datetime as dt
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.mcp_gateway.adapters.configs import new_event, removed_with
from services.mcp_gateway.adapters.outages import as_unavailable
from services.mcp_gateway.app.ports import Kept
from services.mcp_gateway.domain.events import ServerChanged, ServerRegistered, ServerRemoved
from services.mcp_gateway.domain.server import Server, ServerDefinition, Status, bundled_id, restarts
from services.mcp_gateway.errors import SlugTaken
from services.mcp_gateway.limits import (
    SERVER_CACHE_SECONDS,
    SERVERS_CACHED,
    SERVERS_PER_TENANT_MAX,
    TENANTS_REMEMBERED,
)
from shared.db.pool import TenantPool
from shared.db.queries import load_queries
from shared.errors import Conflict, NotFound, PreconditionFailed
from shared.eventstore.postgres import append_in
from shared.ids import id_of, new_id
from shared.scope import TenantScope

_sql = load_queries(Path(__file__).parent / "registry.sql")
_decode_definition = msgspec.json.Decoder(ServerDefinition).decode
_FIELDS = ("tenant_id", "id", "definition", "status", "revision", "stream_version", "created_at", "updated_at")


def server_of(row: Any) -> Server:
    """Return the server of a row that has the registry's columns."""
    values = {name: row[name] for name in _FIELDS}
    return Server(**{**values, "definition": _decode_definition(values["definition"])})


class Registry:
    """`Servers`, and the commands that change them."""

    def __init__(self, pool: TenantPool, bundled: Iterable[ServerDefinition], wake: Callable[[], None]) -> None:
        self._pool = pool
        self._bundled = tuple(bundled)
        self._wake = wake
        self._cache: dict[UUID, dict[str, tuple[float, Server]]] = {}
        self._cached = 0
        self._furnished: set[UUID] = set()

    async def find(self, scope: TenantScope, reference: str) -> Server:
        """Return the server of this id or slug. Seconds old at most, and at once new after a change anywhere."""
        now = asyncio.get_running_loop().time()
        entry = self._cache.get(scope.tenant_id, {}).get(reference)
        if entry is not None and entry[0] > now:
            return entry[1]
        server = await self.read(scope, reference)
        if self._cached >= SERVERS_CACHED:
            self._cache.clear()
            self._cached = 0
        self._cache.setdefault(scope.tenant_id, {})[reference] = (now + SERVER_CACHE_SECONDS, server)
        self._cached += 1
        return server

    async def read(self, scope: TenantScope, reference: str) -> Server:
        """Return the server of this id or slug as it is now. Raises `NotFound`."""
        with as_unavailable():
            await self.furnish(scope)
            async with self._pool.connection(scope) as connection:
                row = await connection.fetchrow(_sql.find, id_of(reference), reference)
        if row is None:
            raise NotFound(f"There is no MCP server {reference[:80]!r}.")
        return server_of(row)

    def forget(self, tenant_id: UUID) -> None:
        """Look a tenant's servers up anew: one of them changed."""
        self._cache.pop(tenant_id, None)

    async def furnish(self, scope: TenantScope) -> None:
        """Register the bundled servers for a tenant that is seen for the first time. Doing it twice changes nothing."""
        if scope.tenant_id in self._furnished:
            return
        ours = TenantScope(scope.tenant_id, "service:mcp_gateway")
        for definition in self._bundled:
            server_id = bundled_id(scope.tenant_id, definition.slug)
            try:
                await self._insert(ours, server_id, definition)
            except Conflict:
                continue  # it was registered before, here or by another replica
        if len(self._furnished) >= TENANTS_REMEMBERED:
            self._furnished.clear()
        self._furnished.add(scope.tenant_id)

    async def register(self, scope: TenantScope, definition: ServerDefinition, server_id: UUID | None = None) -> Kept:
        """Add a server, or return the tenant's server that has this id already: it was registered before.

        Raises `SlugTaken`, or `Conflict` when the tenant has as many as it may.
        """
        await self.furnish(scope)
        try:
            await self._check_room(scope)
            return await self._insert(scope, server_id or new_id(), definition)
        except Conflict:
            known = None if server_id is None else await self._of_id(scope, server_id)
            if known is None:
                raise
            return known

    async def change(self, scope: TenantScope, server: Server, definition: ServerDefinition, status: Status) -> Kept:
        """Describe a server anew. Raises `PreconditionFailed` if somebody else changed it since it was read."""
        revision = server.revision + 1 if restarts(server.definition, definition) else server.revision
        changed = msgspec.structs.replace(
            server,
            definition=definition,
            status=status,
            revision=revision,
            stream_version=server.stream_version + 1,
            updated_at=dt.datetime.now(dt.UTC),
        )
        try:
            async with self._pool.transaction(scope) as connection:
                done = await connection.fetchval(
                    _sql.update,
                    *(server.id, server.stream_version, definition.slug, _json(definition), status, revision),
                    changed.updated_at,
                )
                if not done:
                    raise _stale()
                event = ServerChanged(definition=definition, status=status, revision=revision)
                position = await append_in(connection, [new_event(scope, changed.id, changed.stream_version, event)])
        except asyncpg.UniqueViolationError as error:
            raise _slug_taken(definition) from error
        self._changed(scope)
        return Kept(changed, position)

    async def remove(self, scope: TenantScope, server: Server) -> int:
        """Take a server and its configs out of the registry; the history of its calls stays."""
        async with self._pool.transaction(scope) as connection:
            # Locked first: a config that is made meanwhile is either seen here or finds no server any more.
            if not await connection.fetchval(_sql.lock, server.id, server.stream_version):
                raise _stale()
            events = await removed_with(connection, scope, server.id)
            await connection.execute(_sql.delete, server.id)
            event = ServerRemoved(slug=server.definition.slug)
            events.append(new_event(scope, server.id, server.stream_version + 1, event))
            position = await append_in(connection, events)
        self._changed(scope)
        return position

    async def _check_room(self, scope: TenantScope) -> None:
        async with self._pool.connection(scope) as connection:
            if await connection.fetchval(_sql.count) >= SERVERS_PER_TENANT_MAX:
                raise Conflict(f"A tenant has at most {SERVERS_PER_TENANT_MAX} MCP servers.")

    async def _of_id(self, scope: TenantScope, server_id: UUID) -> Kept | None:
        async with self._pool.connection(scope) as connection:
            row = await connection.fetchrow(_sql.find, server_id, "")
            position = await connection.fetchval(_sql.last_position, server_id)
        return None if row is None else Kept(server_of(row), position)

    async def _insert(self, scope: TenantScope, server_id: UUID, definition: ServerDefinition) -> Kept:
        now = dt.datetime.now(dt.UTC)
        try:
            async with self._pool.transaction(scope) as connection:
                await connection.execute(
                    _sql.insert, scope.tenant_id, server_id, definition.slug, _json(definition), now
                )
                await connection.execute(_sql.insert_health, scope.tenant_id, server_id)
                event = ServerRegistered(definition=definition)
                position = await append_in(connection, [new_event(scope, server_id, 1, event)])
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == "servers_slug":
                raise _slug_taken(definition) from error
            raise Conflict("There is an MCP server with this id already.") from error
        self._changed(scope)
        return Kept(Server(scope.tenant_id, server_id, definition, "active", 1, 1, now, now), position)

    def _changed(self, scope: TenantScope) -> None:
        self.forget(scope.tenant_id)
        self._wake()


def _json(definition: ServerDefinition) -> str:
    return msgspec.json.encode(definition).decode()


def _slug_taken(definition: ServerDefinition) -> SlugTaken:
    return SlugTaken(f"There is an MCP server with the slug {definition.slug!r} already.")


def _stale() -> PreconditionFailed:
    return PreconditionFailed("The server was changed by somebody else meanwhile: read it again.")
