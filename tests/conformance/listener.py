"""The gateway's endpoint without credentials, as the suite wants it: they are added here. The product has no such way.

All else passes through as it comes, the names of host and origin with it: to refuse them is the gateway's part.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

HEAD_MAX_BYTES = 64 * 1024
_CHUNK = 64 * 1024


@asynccontextmanager
async def with_bearer(target: str, token: str) -> AsyncIterator[int]:
    """Listen on a port of this machine and give it. `target` is the `host:port` of the gateway."""
    host, _, port = target.partition(":")
    authorization = f"Authorization: Bearer {token}\r\nConnection: close\r\n".encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            inner, outer = await asyncio.open_connection(host, int(port))
        except (OSError, ValueError):
            writer.close()
            return
        # One request a connection: the rest of it needs no parsing then.
        outer.write(line + authorization)
        passing = [asyncio.create_task(_pass(reader, outer)), asyncio.create_task(_pass(inner, writer))]
        try:
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in passing:
                task.cancel()
            outer.close()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=HEAD_MAX_BYTES)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        return
