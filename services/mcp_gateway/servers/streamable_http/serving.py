"""Listening on a port until a signal ends it: what runs is answered first, nothing new is taken."""

import asyncio
import logging
import os
import signal
import socket
import sys

import uvicorn

from services.mcp_gateway.limits import (
    SERVER_DRAIN_SECONDS,
    SERVER_HTTP_CONNECTIONS_MAX,
    SERVER_HTTP_HEAD_MAX_BYTES,
    SERVER_HTTP_IDLE_SECONDS,
)
from services.mcp_gateway.servers.base import ToolServer
from services.mcp_gateway.servers.streamable_http.door import Door
from services.mcp_gateway.servers.streamable_http.endpoint import PATH, Endpoint
from services.mcp_gateway.servers.streamable_http.protocol import BoundedProtocol


def serve_http(server: ToolServer, host: str, port: int, door: Door) -> None:
    """Serve until SIGTERM or SIGINT, then finish the running calls and exit. Port 0 takes any that is free.

    The address is told on stderr once connections are taken. Raises `OSError` if the address cannot be bound.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # each request that is no HTTP would be a line
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=SERVER_HTTP_CONNECTIONS_MAX)
    # Connections inherit it. asyncio sets it only on sockets that were made with their protocol's number; without it
    # each answer waits 40 ms for the client's delayed acknowledgement of its headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    asyncio.run(_serve(server, listener, door))
    # A tool's thread that never returns would keep the interpreter from ending.
    sys.stderr.flush()
    os._exit(0)


def http_server(server: ToolServer, door: Door) -> uvicorn.Server:
    """Return what serves in the running event loop; set its `should_exit` to drain and stop it."""
    config = uvicorn.Config(
        Endpoint(server, door),
        http=BoundedProtocol,
        ws="none",
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=SERVER_HTTP_IDLE_SECONDS,
        timeout_graceful_shutdown=SERVER_DRAIN_SECONDS,
        h11_max_incomplete_event_size=SERVER_HTTP_HEAD_MAX_BYTES,
    )
    return uvicorn.Server(config)


async def _serve(server: ToolServer, listener: socket.socket, door: Door) -> None:
    http = http_server(server, door)

    def stop() -> None:
        http.force_exit = http.should_exit  # the second signal does not wait
        http.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    host, port, *_ = listener.getsockname()
    place = f"[{host}]:{port}" if listener.family == socket.AF_INET6 else f"{host}:{port}"
    sys.stderr.write(f"{server.name} serves http://{place}{PATH} - Ctrl+C ends it\n")
    sys.stderr.flush()
    await http._serve([listener])  # noqa: SLF001 - `serve()` would take over the process's signals
