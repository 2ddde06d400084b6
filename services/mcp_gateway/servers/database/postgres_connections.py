"""Connections to PostgreSQL: few, metered, and left as if new after each call."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from services.mcp_gateway.limits import (
    DATABASE_CONNECT_SECONDS,
    DATABASE_RECEIVED_MAX_BYTES,
    DATABASE_RESET_SECONDS,
    DATABASE_STATEMENT_SECONDS,
)
from services.mcp_gateway.servers.database.postgres_values import read_and_write_as_text
from services.mcp_gateway.servers.database.turns import Turns
from services.mcp_gateway.servers.tools import ToolRefused

_MILLISECONDS = 1_000

# Sent when a connection begins, so that DISCARD ALL goes back to them. Besides the bounds, they make the server read a
# statement as the parser does, and write values in one form.
_SETTINGS = {
    "application_name": "mcp-database",
    "default_transaction_read_only": "on",
    "statement_timeout": str(int(DATABASE_STATEMENT_SECONDS * _MILLISECONDS)),
    "lock_timeout": str(int(DATABASE_STATEMENT_SECONDS * _MILLISECONDS)),
    "idle_in_transaction_session_timeout": str(int(2 * DATABASE_STATEMENT_SECONDS * _MILLISECONDS)),
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "bytea_output": "hex",
    "datestyle": "ISO, YMD",
    "intervalstyle": "iso_8601",
    "jit": "off",
}


class _Meter(asyncio.Protocol):
    """Passes on what arrives, up to a bound: asyncpg would gather a message of any length in memory."""

    def __init__(self, inner: Any, transport: asyncio.Transport) -> None:
        self._inner = inner
        self._transport = transport
        self.received = 0
        self.exceeded = False

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self.received <= DATABASE_RECEIVED_MAX_BYTES:
            self._inner.data_received(data)
        elif not self.exceeded:
            self.exceeded = True
            self._transport.abort()

    def eof_received(self) -> bool | None:
        result: bool | None = self._inner.eof_received()
        return result

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


class MeteredConnection(asyncpg.Connection):
    """A connection that is cut when one call receives too much."""

    def __init__(self, protocol: Any, transport: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(protocol, transport, *args, **kwargs)
        self.meter = _Meter(protocol, transport)
        transport.set_protocol(self.meter)


class Connections:
    """Lends connections to one database, at most a few at once."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._turns = Turns()
        self._idle: list[MeteredConnection] = []

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[MeteredConnection]:
        """Lend a connection for one call.

        It is kept if the call ended with an answer, a `ToolRefused` or an error of the server's. Raises `ToolRefused`
        (`database_busy`, `database_unavailable`).
        """
        async with self._turns.one():
            connection = self._take_idle() or await self._connect()
            connection.meter.received = 0
            try:
                yield connection
            except (ToolRefused, asyncpg.PostgresError):
                raise
            except BaseException:
                # In the midst of something: nobody waits for it to end. The server ends it by its own timeout.
                connection.terminate()
                raise
            finally:
                await self._take_back(connection)

    def close(self) -> None:
        for connection in self._idle:
            connection.terminate()

    def _take_idle(self) -> MeteredConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    async def _connect(self) -> MeteredConnection:
        try:
            connection = await asyncpg.connect(
                self._url,
                timeout=DATABASE_CONNECT_SECONDS,
                statement_cache_size=0,
                connection_class=MeteredConnection,
                server_settings=_SETTINGS,
            )
            await read_and_write_as_text(connection)
        except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            # The error's text can name hosts and logins.
            code = getattr(error, "sqlstate", None) or type(error).__name__
            logging.getLogger(__name__).warning("cannot connect: %s", code)
            raise ToolRefused(
                "database_unavailable",
                f"The database cannot be reached ({code}). Whoever runs this server should look at its address, its "
                "login and whether it runs.",
            ) from None
        return connection

    async def _take_back(self, connection: MeteredConnection) -> None:
        if connection.is_closed():
            return
        try:
            async with asyncio.timeout(DATABASE_RESET_SECONDS):
                await connection.execute("ROLLBACK")
                await connection.execute("DISCARD ALL")
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncio.CancelledError):
            connection.terminate()
            return
        self._idle.append(connection)
