"""Secrets in Postgres: encrypted under a key of the tenant's own, which is wrapped under the master key."""

import datetime as dt
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from services.tenant.adapters.registry import PostgresChange
from services.tenant.adapters.secret_keys import Cipher, Sealed, Wrapping
from services.tenant.app.ports import Page, SecretRow, Window
from services.tenant.limits import DATA_KEYS_PAGE
from shared.db.outages import DATABASE_AWAY
from shared.db.pool import Connection, TenantPool
from shared.db.queries import load_queries
from shared.errors import Unavailable
from shared.scope import TenantScope

_sql = load_queries(Path(__file__).parent / "sql" / "secrets.sql")
_DATA_KEY_BYTES = 32

_log = logging.getLogger(__name__)


class PostgresSecretChange(PostgresChange):
    """`SecretChange`."""

    def __init__(self, connection: Connection, scope: TenantScope, wrapping: Wrapping) -> None:
        super().__init__(connection, scope)
        self._wrapping = wrapping

    async def count(self) -> int:
        """Return how many secrets the tenant has."""
        return int(await self._connection.fetchval(_sql.count, self._scope.tenant_id))

    async def names(self) -> list[str]:
        """Return the names of all of them."""
        return [row[0] for row in await self._connection.fetch(_sql.names, self._scope.tenant_id)]

    async def put(
        self, secret_id: UUID, name: str, value: str, description: str, version: int, at: dt.datetime
    ) -> SecretRow:
        """Encrypt and keep a value, in place of the one before."""
        tenant_id = self._scope.tenant_id
        ciphertext = (await self._data_key()).encrypt(value.encode(), _place(tenant_id, name, version))
        row = await self._connection.fetchrow(
            _sql.put, tenant_id, secret_id, name, description, version, ciphertext, at, self._scope.actor
        )
        return SecretRow(*row)

    async def remove(self, name: str) -> None:
        """Delete a value."""
        await self._connection.execute(_sql.remove, self._scope.tenant_id, name)

    async def destroy_data_key(self) -> None:
        """Delete the key that all values are encrypted with."""
        await self._connection.execute(_sql.remove_data_key, self._scope.tenant_id)

    async def _data_key(self) -> Cipher:
        tenant_id = self._scope.tenant_id
        wrapped = await self._connection.fetchval(_sql.data_key, tenant_id)
        if wrapped is not None:
            return Cipher(self._wrapping.unwrap(wrapped, _name_of_key(tenant_id)))
        key = os.urandom(_DATA_KEY_BYTES)
        await self._connection.execute(_sql.add_data_key, tenant_id, self._wrapping.wrap(key, _name_of_key(tenant_id)))
        return Cipher(key)


class PostgresSecrets:
    """`SecretStore`."""

    def __init__(self, pool: TenantPool, wrapping: Wrapping, committed: Callable[[], None]) -> None:
        self._pool = pool
        self._wrapping = wrapping
        self._committed = committed

    @asynccontextmanager
    async def change(self, scope: TenantScope) -> AsyncIterator[PostgresSecretChange]:
        """Begin a transaction; of one tenant's, one after the other."""
        async with self._pool.transaction(scope) as connection:
            await connection.execute(_sql.lock, str(scope.tenant_id))
            change = PostgresSecretChange(connection, scope, self._wrapping)
            yield change
            await change.finish()
        self._committed()

    async def secret(self, scope: TenantScope, name: str) -> SecretRow | None:
        """Return a secret without its value."""
        async with self._pool.connection(scope) as connection:
            row = await connection.fetchrow(_sql.secret, scope.tenant_id, name)
        return SecretRow(*row) if row else None

    async def page(self, scope: TenantScope, window: Window) -> Page[SecretRow]:
        """List the secrets without their values."""
        after = window.after or (None, None)
        async with self._pool.connection(scope) as connection:
            rows: list[Any] = await connection.fetch(_sql.secrets, window.limit, window.offset, *after)
            return Page([SecretRow(*row) for row in rows], int(await connection.fetchval(_sql.count_secrets)))

    async def values(self, scope: TenantScope, names: Sequence[str]) -> dict[str, str]:
        """Return the values of those names that there are. One that does not decrypt is logged, and is not there."""
        try:
            async with self._pool.connection(scope) as connection:
                rows = await connection.fetch(_sql.encrypted, scope.tenant_id, list(names))
        except DATABASE_AWAY as error:
            raise Unavailable("The database of secrets does not answer.", retry_after=1) from error
        found: dict[str, str] = {}
        for row in rows:
            place = _place(scope.tenant_id, row["name"], row["version"])
            try:
                key = Cipher(self._wrapping.unwrap(row["wrapped_key"], _name_of_key(scope.tenant_id)))
                found[row["name"]] = key.decrypt(row["ciphertext"], place).decode()
            except Sealed:
                _log.error("%s does not decrypt: it was not written for this place, or was changed", place)
        return found


async def rewrap_data_keys(pool: "asyncpg.Pool[Any]", wrapping: Wrapping) -> int:
    """Wrap under the key in use what a former master key wrapped, with the worker's login; return how many those were.

    Raises `SettingsInvalid` for a data key that none of the master keys opens.
    """
    renewed, last = 0, None
    while rows := await pool.fetch(_sql.data_keys, DATA_KEYS_PAGE, last):
        for tenant_id, wrapped in rows:
            fresh = wrapping.rewrapped(wrapped, _name_of_key(tenant_id))
            if fresh is not None:
                await pool.execute(_sql.rewrap, tenant_id, wrapped, fresh)
                renewed += 1
        last = rows[-1][0]
    return renewed


def _name_of_key(tenant_id: UUID) -> str:
    return f"data-key:{tenant_id}"


def _place(tenant_id: UUID, name: str, version: int) -> str:
    return f"secret:{tenant_id}:{name}:{version}"
