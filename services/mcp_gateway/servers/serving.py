"""Serving as the command line says: by stdio for whoever started the server, or by HTTP for many clients."""

import os
import sys
from typing import TYPE_CHECKING

from services.mcp_gateway.limits import SERVER_TOKEN_MIN_CHARS
from services.mcp_gateway.servers.base import ToolServer
from services.mcp_gateway.servers.stdio import serve_stdio

if TYPE_CHECKING:
    from argparse import Namespace


def serve(server: ToolServer, options: "Namespace | None" = None) -> None:
    """Serve as the command line says, and exit when that is over. Without `options` the arguments are read here."""
    if options is None and len(sys.argv) == 1:
        serve_stdio(server)
        return
    # Here, since stdio without arguments needs none of it and starts sooner for that.
    from services.mcp_gateway.servers.arguments import TOKEN, command_line

    if options is None:
        tools = ", ".join(server.tools)
        about = f"The MCP server `{server.name}`. {server.instructions or ''}\nTools: {tools}."
        options = command_line(about).parse_args()
    token = os.environ.pop(TOKEN, None)
    if options.http is None:
        serve_stdio(server)
        return
    from services.mcp_gateway.servers.streamable_http.door import Door, is_loopback
    from services.mcp_gateway.servers.streamable_http.serving import serve_http

    host, port = options.http
    if token is not None and (len(token) < SERVER_TOKEN_MIN_CHARS or not token.isascii() or not token.isprintable()):
        sys.exit(f"${TOKEN} must have {SERVER_TOKEN_MIN_CHARS} characters of plain ASCII or more.")
    loopback = is_loopback(host)
    if not loopback and not options.allow_remote:
        sys.exit(f"{host} can be reached from elsewhere. If that is meant, give --allow-remote and set ${TOKEN}.")
    if not loopback and token is None:
        sys.exit(f"--allow-remote needs a token: anybody could use these tools. Set ${TOKEN}.")
    try:
        serve_http(server, "127.0.0.1" if host == "localhost" else host, port, Door(loopback, token))
    except OSError as error:
        sys.exit(f"{host}:{port} cannot be served: {error.strerror}.")
