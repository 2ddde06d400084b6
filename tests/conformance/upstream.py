"""The server behind the gateway, which offers all that the suite asks for."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.fixtures.gateway_process import SERVERS, free_port

START_SECONDS = 30

EVERYTHING = str(SERVERS / "everything")


@asynccontextmanager
async def everything_by_http() -> AsyncIterator[str]:
    """Serve it, and give its address."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", EVERYTHING, "http", str(port)), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await _listens(port):
                assert process.returncode is None, "the server ended"
                await asyncio.sleep(0.05)
        yield f"http://localhost:{port}/mcp"
    finally:
        process.terminate()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True
