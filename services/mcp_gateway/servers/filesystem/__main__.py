"""`python -m services.mcp_gateway.servers.filesystem --root FOLDER`."""

import os
import sys

from services.mcp_gateway.servers.arguments import command_line
from services.mcp_gateway.servers.filesystem.beneath import Root
from services.mcp_gateway.servers.filesystem.server import filesystem_server
from services.mcp_gateway.servers.serving import serve

ROOT = "FILESYSTEM_ROOT"


def main() -> None:
    """Serve the folder that the command line names."""
    parser = command_line("An MCP server for the files beneath one folder: read, write, list, search.")
    parser.add_argument("--root", default=os.environ.get(ROOT), help=f"the folder to serve (or the variable {ROOT})")
    parser.add_argument("--create", action="store_true", help="make the folder if it is missing")
    options = parser.parse_args()
    if not options.root:
        parser.error(f"which folder? Give --root or set {ROOT}.")
    try:
        if options.create:
            os.makedirs(options.root, mode=0o700, exist_ok=True)  # noqa: PTH103 - as the rest of this server
        root = Root(options.root)
    except OSError as error:
        sys.exit(f"The folder {options.root} cannot be served: {error.strerror}.")
    serve(filesystem_server(root), options)


main()
