"""The command line of a server: by stdio for whoever started it, or by HTTP for many clients."""

import argparse
import os
import sys

from services.mcp_gateway.limits import SERVER_TOKEN_MIN_CHARS
from services.mcp_gateway.servers.base import ToolServer
from services.mcp_gateway.servers.stdio import serve_stdio

TOKEN = "MCP_SERVER_TOKEN"  # noqa: S105 - the variable's name

_NOTES = f"""\
Without --http the server talks on stdin and stdout to the client that started it. With it, any number of clients
connect to http://HOST:PORT/mcp (streamable HTTP). Only this machine can reach a loopback address. Any other one has
to be allowed by --allow-remote, and every request must then bear the token in ${TOKEN}
("Authorization: Bearer ..."); what is sent is not encrypted, so put a proxy with TLS before it.
If the variable is set, the token is wanted on a loopback address too."""


def command_line(description: str) -> argparse.ArgumentParser:
    """Return a parser with the arguments that every server has; a server adds its own and hands the result on."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    command = f"-m {module.name.removesuffix('.__main__')}" if module is not None else sys.argv[0]
    parser = argparse.ArgumentParser(
        prog=f"python {command}",
        description=description,
        epilog=_NOTES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--http", type=_address, metavar="HOST:PORT", help="serve by HTTP, such as 127.0.0.1:8900")
    parser.add_argument(
        "--allow-remote", action="store_true", help=f"let other machines in, with the token in ${TOKEN}"
    )
    return parser


def serve(server: ToolServer, options: argparse.Namespace | None = None) -> None:
    """Serve as the command line says, and exit when that is over. Without `options` the arguments are read here."""
    if options is None:
        if len(sys.argv) == 1:
            serve_stdio(server)
            return
        tools = ", ".join(server.tools)
        options = command_line(
            f"The MCP server `{server.name}`. {server.instructions or ''}\nTools: {tools}."
        ).parse_args()
    token = os.environ.pop(TOKEN, None)
    if options.http is None:
        serve_stdio(server)
        return
    # Here, since stdio needs none of it and starts three times as fast without.
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


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65_535:  # noqa: PLR2004 - ports have 16 bits
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT, such as 127.0.0.1:8900 or [::1]:8900")
    if host != "localhost" and not _is_address(host):
        raise argparse.ArgumentTypeError(f"{host!r} is no IP address and not localhost")
    return host, int(port)


def _is_address(host: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
