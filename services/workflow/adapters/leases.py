"""Leases of partitions on Postgres, in its time. One session says that this process lives, by a lock that it holds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from services.workflow.adapters.outages import as_store_away
from services.workflow.app.ports import Claimed, Owners
from services.workflow.limits import HANDED_FRESH_S, LEASE_S
from shared.db.queries import load_queries

_sql = load_queries(Path(__file__).parent / "sql" / "leases.sql")


class PostgresLeases:
    """`Leases` over the worker pool. It keeps one connection for itself."""

    def __init__(self, pool: "asyncpg.Pool[Any]", engine_id: UUID, instance: str) -> None:
        self._pool = pool
        self._engine_id = engine_id
        self._instance = instance
        self._session: Any = None

    async def renew(self) -> Owners:
        """Live for `LEASE_S` more; return who lives and what they own."""
        with as_store_away():
            try:
                session = await self._held_session()
                row = await session.fetchrow(_sql.renew, self._engine_id, self._instance, LEASE_S, timeout=LEASE_S)
            except BaseException:
                await self._drop_session()
                raise
        return Owners(list(row["living"] or []), dict(zip(row["owned"] or [], row["owners"] or [], strict=True)))

    async def claim(self, partitions: Sequence[int]) -> list[Claimed]:
        """Take those that nobody alive owns."""
        with as_store_away():
            rows = await self._pool.fetch(_sql.claim, self._engine_id, list(partitions), HANDED_FRESH_S)
        return [Claimed(row["claimed"], row["handed"]) for row in rows]

    async def release(self, partitions: Sequence[int]) -> None:
        """Give back."""
        with as_store_away():
            await self._pool.execute(_sql.release, self._engine_id, list(partitions))

    async def leave(self) -> None:
        """Give everything back and be counted no longer."""
        with as_store_away():
            await self._pool.execute(_sql.leave, self._engine_id)
        await self._drop_session()

    async def _held_session(self) -> Any:
        if self._session is None or _ended(self._session):
            await self._drop_session()
            self._session = await self._pool.acquire(timeout=LEASE_S)
            await self._session.fetchval(_sql.hold_session, self._engine_id, timeout=LEASE_S)
        return self._session

    async def _drop_session(self) -> None:
        """End the session: its lock goes with it, and it must not reach the pool with it."""
        session, self._session = self._session, None
        if session is not None and not _ended(session):
            session.terminate()
            await self._pool.release(session)


def _ended(session: Any) -> bool:
    """Return whether the server closed it. The pool has taken it back then, and its proxy answers nothing else."""
    try:
        return bool(session.is_closed())
    except asyncpg.InterfaceError:
        return True
