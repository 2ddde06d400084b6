"""The command line: where the database is, then serve it."""

import os
import sys

from services.mcp_gateway.servers.arguments import command_line
from services.mcp_gateway.servers.database.address import AddressInvalid, open_database
from services.mcp_gateway.servers.database.tools import database_server
from services.mcp_gateway.servers.serving import serve


def main() -> None:
    parser = command_line(
        "An MCP server for a PostgreSQL or SQLite database, for reading only.\n"
        "Give PostgreSQL a login of its own that may read no more than callers may see. Prefer DATABASE_URL:\n"
        "everybody on the machine can see a command line."
    )
    parser.add_argument(
        "--url",
        help="postgresql://user:password@host/database or sqlite:///absolute/path.sqlite3 (default: $DATABASE_URL)",
    )
    parser.add_argument("--create", action="store_true", help="make an empty SQLite database if the file is missing")
    options = parser.parse_args()
    url = options.url or os.environ.get("DATABASE_URL")
    if not url:
        parser.error("say which database: --url or the environment variable DATABASE_URL")
    try:
        database = open_database(url, create=options.create)
    except AddressInvalid as error:
        parser.error(str(error))
    except OSError as error:
        sys.exit(f"The database file cannot be made: {error.strerror}.")
    # Nothing that a library logs or raises later can repeat what is not there any more.
    os.environ.pop("DATABASE_URL", None)
    serve(database_server(database), options)


if __name__ == "__main__":
    main()
