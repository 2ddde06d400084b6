"""Tenants, users and keys in Postgres, under row-level security."""

import datetime as dt
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from services.tenant.app.ports import ApiKeyRow, Claim, Page, TenantRow, UserRow, Window
from services.tenant.domain.events import CATALOGUE
from shared.db.pool import Connection, TenantPool
from shared.db.queries import load_queries
from shared.errors import Conflict
from shared.eventstore.catalogue import DomainEvent
from shared.eventstore.event import EventMeta, NewEvent, encode_meta
from shared.eventstore.ports import EventReader
from shared.eventstore.postgres import append_in
from shared.scope import TenantScope
from shared.telemetry.trace import current_trace_id, current_traceparent

_sql = load_queries(Path(__file__).parent / "sql" / "registry.sql")
_TAKEN = {
    "tenants_slug": "This slug is taken.",
    "users_email": "A user with this e-mail address exists.",
    "requests_id": "A request with this Idempotency-Key is being worked on.",
}
R = TypeVar("R")


class PostgresChange:
    """`Change`."""

    def __init__(self, connection: Connection, scope: TenantScope) -> None:
        self._connection = connection
        self._scope = scope
        self._meta = encode_meta(EventMeta(scope.actor, current_trace_id(), None, current_traceparent()))
        self._events: list[NewEvent] = []
        self.position = 0

    async def claim(self, claim: Claim) -> None:
        """Note what request makes this."""
        if claim.digest is None:
            return
        with _conflicts():
            await self._connection.execute(_sql.claim, self._scope.tenant_id, claim.id, claim.digest)

    async def owners(self) -> frozenset[UUID]:
        """Lock and return the tenant's owners."""
        await self._connection.execute(_sql.lock_owners, str(self._scope.tenant_id))
        return frozenset(row[0] for row in await self._connection.fetch(_sql.owners, self._scope.tenant_id))

    async def add_tenant(self, row: TenantRow) -> None:
        """Add a tenant."""
        with _conflicts():
            await self._connection.execute(
                _sql.add_tenant, row.id, row.slug, row.name, row.plan, row.status, row.parent_id, row.created_at,
                row.updated_at,
            )  # fmt: skip

    async def add_user(self, row: UserRow, password_hash: str) -> None:
        """Add a user."""
        with _conflicts():
            await self._connection.execute(
                _sql.add_user, row.tenant_id, row.id, row.email, password_hash, row.role, row.status, row.created_at
            )

    async def remove_user(self, user_id: UUID) -> None:
        """Remove a user's row."""
        await self._connection.execute(_sql.remove_user, user_id)

    async def add_api_key(self, row: ApiKeyRow, digest: bytes) -> None:
        """Add a key."""
        with _conflicts():
            await self._connection.execute(
                _sql.add_api_key, row.tenant_id, row.id, row.name, row.prefix, digest, row.scopes, row.created_by,
                row.created_at, row.expires_at,
            )  # fmt: skip

    async def revoke_api_key(self, key_id: UUID, at: dt.datetime) -> None:
        """Mark a key as revoked."""
        await self._connection.execute(_sql.revoke_api_key, key_id, at)

    def record(self, stream_id: UUID, after: int, events: Sequence[DomainEvent]) -> None:
        """Have events appended at the end of the transaction."""
        self._events += [
            NewEvent(self._scope.tenant_id, stream_id, version, event.TYPE, CATALOGUE.encode(event), self._meta)
            for version, event in enumerate(events, start=after + 1)
        ]

    async def finish(self) -> None:
        """Append the events: the last thing before the commit."""
        self.position = await append_in(self._connection, self._events)


class PostgresRegistry:
    """`Registry`."""

    def __init__(self, pool: TenantPool, reader: EventReader, committed: Callable[[], None]) -> None:
        self._pool = pool
        self._reader = reader
        self._committed = committed

    @asynccontextmanager
    async def change(self, scope: TenantScope) -> AsyncIterator[PostgresChange]:
        """Begin a transaction inside the scope's tenant."""
        async with self._pool.transaction(scope) as connection:
            change = PostgresChange(connection, scope)
            yield change
            await change.finish()
        self._committed()

    async def history(self, scope: TenantScope, stream_id: UUID) -> list[DomainEvent]:
        """Return a stream's events."""
        return [CATALOGUE.decode(e.type, e.data) for e in await self._reader.read_stream(scope, stream_id)]

    async def claimed(self, scope: TenantScope, thing_id: UUID) -> bytes | None:
        """Return the digest of the request that made this."""
        async with self._pool.connection(scope) as connection:
            digest: bytes | None = await connection.fetchval(_sql.claimed, thing_id)
            return digest

    async def standing(self, scope: TenantScope, kind: str, holder_id: UUID | None) -> bool:
        """Say whether the tenant is active, and in it the user or key with this id."""
        async with self._pool.connection(scope) as connection:
            return bool(await connection.fetchval(_sql.standing, scope.tenant_id, kind, holder_id))

    async def tenant(self, scope: TenantScope, tenant_id: UUID) -> TenantRow | None:
        """Return a tenant that the scope sees."""
        return await self._one(TenantRow, scope, _sql.tenant, tenant_id)

    async def tenants(self, scope: TenantScope, window: Window) -> Page[TenantRow]:
        """List the tenants that the scope sees."""
        return await self._page(TenantRow, scope, _sql.tenants, _sql.count_tenants, window)

    async def user(self, scope: TenantScope, user_id: UUID) -> UserRow | None:
        """Return a user."""
        return await self._one(UserRow, scope, _sql.user, user_id)

    async def users(self, scope: TenantScope, window: Window) -> Page[UserRow]:
        """List the users."""
        return await self._page(UserRow, scope, _sql.users, _sql.count_users, window)

    async def api_key(self, scope: TenantScope, key_id: UUID) -> ApiKeyRow | None:
        """Return a key."""
        return await self._one(ApiKeyRow, scope, _sql.api_key, key_id)

    async def api_keys(self, scope: TenantScope, window: Window) -> Page[ApiKeyRow]:
        """List the keys."""
        return await self._page(ApiKeyRow, scope, _sql.api_keys, _sql.count_api_keys, window)

    async def _one(self, row: Callable[..., R], scope: TenantScope, query: str, key: UUID) -> R | None:
        async with self._pool.connection(scope) as connection:
            found = await connection.fetchrow(query, key)
        return row(*found) if found else None

    async def _page(self, row: Callable[..., R], scope: TenantScope, query: str, count: str, window: Window) -> Page[R]:
        after = window.after or (None, None)
        async with self._pool.connection(scope) as connection:
            found: list[Any] = await connection.fetch(query, window.limit, window.offset, *after)
            return Page([row(*one) for one in found], int(await connection.fetchval(count)))


@contextmanager
def _conflicts() -> Iterator[None]:
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise Conflict(_TAKEN.get(error.constraint_name or "", "This exists already.")) from error
