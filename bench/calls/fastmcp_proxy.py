"""The proxy of PyPI's fastmcp before one server: `fastmcp_proxy.py PORT fresh|kept UPSTREAM…`.

`UPSTREAM` is a URL, or the command line of a program that speaks stdio. `fresh` is what the library does by itself, a
connection to the server for each request; `kept` shares one. It runs in an environment of its own without this project.
"""

import sys

import uvicorn
import uvloop
from fastmcp import Client, FastMCP
from fastmcp.client.transports import StdioTransport
from fastmcp.server import create_proxy

_KEEP_ALIVE_S = 60  # a client whose first call took long finds its connection again


async def main(port: int, upstream: list[str], *, kept: bool) -> None:
    """Serve until killed."""
    target = upstream[0] if upstream[0].startswith("http") else StdioTransport(upstream[0], upstream[1:])
    if not kept:
        await _serve(create_proxy(target, name="proxy"), port)
        return
    async with Client(target) as client:
        await _serve(create_proxy(client, name="proxy"), port)


async def _serve(proxy: FastMCP, port: int) -> None:
    app = proxy.http_app(path="/mcp", json_response=True)
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_level="error", access_log=False, timeout_keep_alive=60
    )
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[3:], kept=sys.argv[2] == "kept"))
