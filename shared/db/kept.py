"""Connections that stay lent: whoever writes all the time need not go through the pool for each statement."""

import asyncio
from typing import Any

import asyncpg

from shared.db.pool import Connection
from shared.limits import DB_KEPT_IDLE_S


class KeptConnections:
    """Runs single statements on connections that it takes from a pool and keeps, one for each that runs at once.

    For a pool whose connections carry no state from one statement to the next.
    """

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool
        self._free: list[tuple[float, Connection]] = []
        """Each with the event loop's time at which it was used last."""
        self._closed = False

    async def fetchval(self, query: str, *arguments: object) -> Any:
        """Return the first value that a statement gives. Raises what asyncpg raises."""
        connection = await self._take()
        try:
            value = await connection.fetchval(query, *arguments)
        except asyncpg.InternalClientError as error:
            # asyncpg's word for a connection whose end the server has announced and that is not closed yet.
            connection.terminate()
            await self._pool.release(connection)
            raise asyncpg.ConnectionDoesNotExistError("the connection was just lost") from error
        except BaseException:
            # Also one that was cancelled in the middle: the pool knows what is to be done with such a connection.
            await self._pool.release(connection)
            raise
        if self._closed:
            await self._pool.release(connection)
        else:
            self._free.append((asyncio.get_running_loop().time(), connection))
        return value

    async def close(self) -> None:
        """Give all back, those of statements that still run when these have ended."""
        self._closed = True
        while self._free:
            await self._pool.release(self._free.pop()[1])

    async def _take(self) -> Connection:
        now = asyncio.get_running_loop().time()
        while self._free:
            used_at, connection = self._free.pop()
            try:
                if now - used_at > DB_KEPT_IDLE_S:
                    connection.terminate()  # a network may have forgotten it, and would let a statement wait for long
                elif not connection.is_closed():
                    return connection
            except asyncpg.InterfaceError:
                continue  # it broke, and the pool took it back
            await self._pool.release(connection)
        return await self._pool.acquire()
