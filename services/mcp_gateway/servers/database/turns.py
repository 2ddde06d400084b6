"""How many calls work on the database at once, and how long others wait for their turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.mcp_gateway.limits import DATABASE_CONNECTIONS_MAX, DATABASE_WAIT_SECONDS
from services.mcp_gateway.servers.tools import ToolRefused


class Turns:
    """A turn for each connection that may be open."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(DATABASE_CONNECTIONS_MAX)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for a turn and take it. Raises `ToolRefused` (`database_busy`) after a while."""
        try:
            async with asyncio.timeout(DATABASE_WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            raise ToolRefused("database_busy", "All connections are in use. Try again in a moment.") from None
        try:
            yield
        finally:
            self._free.release()
