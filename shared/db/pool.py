"""Connections. Requests get one that sees a single tenant; workers get one that sees all."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from shared.limits import DB_COMMAND_TIMEOUT_S, DB_POOL_SIZE
from shared.scope import TenantScope

# asyncpg's proxies and plain connections share this surface; its own stubs leave records untyped.
Connection = Any


class WorkerConnection(asyncpg.Connection):
    """A connection that carries no state of its last user, so that giving it back costs no round trip."""

    def get_reset_query(self) -> str:
        """Return that there is nothing to reset."""
        return ""


async def open_worker_pool(dsn: str, *, name: str, plan_once: bool = False, held: int = 0) -> "asyncpg.Pool[Any]":
    """Open a pool for the login that works through all tenants' queues.

    `plan_once`: its statements are of the same shape whatever their arguments, and planning each anew costs more than
    a plan that knows them gains. `held`: how many connections are lent for as long as the process lives; the others are
    as many without them.
    """
    settings = {"plan_cache_mode": "force_generic_plan"} if plan_once else {}
    return await open_pool(
        dsn, name=name, size=DB_POOL_SIZE + held, connection_class=WorkerConnection, settings=settings
    )


async def open_pool(
    dsn: str,
    *,
    name: str,
    size: int = DB_POOL_SIZE,
    connection_class: type[Any] = asyncpg.Connection,
    settings: Mapping[str, str] | None = None,
) -> "asyncpg.Pool[Any]":
    """Open a pool whose connections show up as `name` in pg_stat_activity. Each is reset when it is given back.

    `settings` are parameters of the server for these sessions.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=size,
        connection_class=connection_class,
        command_timeout=DB_COMMAND_TIMEOUT_S,
        server_settings={"application_name": name, **(settings or {})},
    )


class TenantPool:
    """A pool that only lends connections on which row-level security already shows one tenant."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool

    @asynccontextmanager
    async def connection(self, scope: TenantScope) -> AsyncIterator[Connection]:
        """Lend a connection of this tenant. Its return resets the session, tenant included."""
        async with self._pool.acquire() as connection:
            await connection.execute("SELECT set_config('app.tenant_id', $1, false)", str(scope.tenant_id))
            yield connection

    @asynccontextmanager
    async def transaction(self, scope: TenantScope) -> AsyncIterator[Connection]:
        """Lend a connection of this tenant inside one transaction."""
        async with self.connection(scope) as connection, connection.transaction():
            yield connection

    async def shared_value(self, query: str, *arguments: object) -> Any:
        """Return one value of a table that is no tenant's: of all others this shows nothing."""
        return await self._pool.fetchval(query, *arguments)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def ping(self) -> None:
        """Raise if the database does not answer."""
        await self._pool.fetchval("SELECT 1")
