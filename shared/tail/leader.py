"""One of several replicas does a thing: whoever holds a session lock of Postgres, which dies with its connection."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from shared.db.outages import DATABASE_AWAY
from shared.limits import LEADER_RETRY_S

_log = logging.getLogger(__name__)
_REFUSED_OR_AWAY: tuple[type[Exception], ...] = (*DATABASE_AWAY, asyncpg.PostgresError)


async def lead(pool: "asyncpg.Pool[Any]", name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` for as long as this process holds the lock `name`; try again whenever it ends. Never returns."""
    while True:
        try:
            async with pool.acquire() as connection:
                got = await connection.fetchval(
                    "SELECT pg_try_advisory_lock(hashtext(current_schema()), hashtext($1))", name
                )
                if got:
                    try:
                        await _until_lost(connection, name, work)
                    finally:
                        if not connection.is_closed():  # the pool resets nothing, so the lock is given back here
                            await connection.execute(
                                "SELECT pg_advisory_unlock(hashtext(current_schema()), hashtext($1))", name
                            )
        except _REFUSED_OR_AWAY as error:
            _log.warning("%s pauses: %s", name, error)
        await asyncio.sleep(LEADER_RETRY_S)


async def _until_lost(connection: Any, name: str, work: Callable[[], Awaitable[None]]) -> None:
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    working = asyncio.ensure_future(work())
    losing = asyncio.create_task(lost.wait())
    try:
        await asyncio.wait([working, losing], return_when=asyncio.FIRST_COMPLETED)
    finally:
        losing.cancel()
        working.cancel()
        results = await asyncio.gather(working, losing, return_exceptions=True)
    if isinstance(results[0], Exception):
        _log.error("%s stopped and starts again", name, exc_info=results[0])
