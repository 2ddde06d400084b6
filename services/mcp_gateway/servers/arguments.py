"""What the command line of every server takes: whether it serves by stdio or by HTTP, and to whom."""

import argparse
import ipaddress
import sys

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


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65_535:  # noqa: PLR2004 - ports have 16 bits
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT, such as 127.0.0.1:8900 or [::1]:8900")
    if host != "localhost" and not _is_address(host):
        raise argparse.ArgumentTypeError(f"{host!r} is no IP address and not localhost")
    return host, int(port)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
