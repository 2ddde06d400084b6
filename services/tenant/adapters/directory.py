"""Look-ups across tenants, with the worker's login.

Before a log-in or a key is verified it is not known whose tenant asks, so the login that sees one tenant at a time
cannot find it; and services ask of all tenants at once who was revoked. Nothing else of what serves requests uses this
login, and it may change nothing but a key's last use and digest and the list of commands that were seen.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from services.tenant.app.ports import KeyRecord, LoginRecord
from services.tenant.limits import KEY_USE_RESOLUTION_S
from shared.auth.limits import PROOF_S
from shared.db.queries import load_queries

_sql = load_queries(Path(__file__).parent / "sql" / "directory.sql")


class PostgresDirectory:
    """`Directory` over a pool of the worker role."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool

    async def logins(self, email: str, tenant_slug: str | None) -> list[LoginRecord]:
        """Return who may be logging in with this address."""
        return [LoginRecord(*row) for row in await self._pool.fetch(_sql.logins, email, tenant_slug)]

    async def key(self, digests: Sequence[bytes]) -> KeyRecord | None:
        """Return the good key with one of these digests, note its use, and have it keep the first."""
        row = await self._pool.fetchrow(_sql.key, digests)
        if row is None:
            return None
        record = KeyRecord(*row)
        await self._pool.execute(_sql.note_use, record.id, float(KEY_USE_RESOLUTION_S), digests[0])
        return record

    async def active_tenant(self, slug: str) -> UUID | None:
        """Return the id of an active tenant."""
        found: UUID | None = await self._pool.fetchval(_sql.active_tenant, slug)
        return found

    async def first_use(self, nonce: str) -> bool:
        """Note that a command of the operator was seen, and say whether it is new."""
        return bool(await self._pool.fetchval(_sql.first_use, nonce, float(2 * PROOF_S)))

    async def revoked(self, seconds: float, limit: int) -> list[str]:
        """Return who was revoked in the last seconds."""
        return [row[0] for row in await self._pool.fetch(_sql.revoked, seconds, limit)]
