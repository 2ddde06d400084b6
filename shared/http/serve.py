"""Serves an ASGI application in the running event loop, on a unix socket or a port."""

import asyncio
from contextlib import suppress
from pathlib import Path

import uvicorn
from litestar.types import ASGIApp

from shared.limits import HTTP_DRAIN_S, HTTP_KEEP_ALIVE_S
from shared.settings import Settings


def make_server(app: ASGIApp, settings: Settings) -> uvicorn.Server:
    """Return a server that is not yet running; set `should_exit` to drain and stop it."""
    if settings.http_socket:
        with suppress(FileNotFoundError):
            Path(settings.http_socket).unlink()
    config = uvicorn.Config(
        app,
        host=settings.http_host,
        port=settings.http_port,
        uds=settings.http_socket or None,
        http="httptools",
        loop="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=HTTP_KEEP_ALIVE_S,
        timeout_graceful_shutdown=HTTP_DRAIN_S,
        h11_max_incomplete_event_size=64 * 1024,
    )
    return uvicorn.Server(config)


async def serve(server: uvicorn.Server) -> None:
    """Serve until `should_exit`."""
    await server._serve()  # noqa: SLF001 — `serve()` would take over the process's signals


async def until_stopped(stop: asyncio.Event, server: uvicorn.Server) -> None:
    """Serve until `stop` is set, then drain."""
    serving = asyncio.create_task(serve(server))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopping.cancel()
    await serving
