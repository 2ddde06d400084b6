"""Which database an address names. Addresses hold passwords: no message here repeats any part of one."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from services.mcp_gateway.servers.database.ports import Database


class AddressInvalid(ValueError):
    """The address names no database of a kind that is served."""


def open_database(url: str) -> Database:
    """Return the database of an address. Nothing is connected yet. Raises `AddressInvalid`."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise AddressInvalid("The address of the database cannot be read as a URL.") from None
    if parts.scheme in {"postgresql", "postgres"}:
        from services.mcp_gateway.servers.database.postgres import Postgres

        return Postgres(url)
    if parts.scheme == "sqlite":
        # sqlite:///absolute/path: no host, and a path that begins with a slash
        path = unquote(parts.path)
        if parts.netloc or parts.query or parts.fragment or not path.startswith("/") or "\0" in path:
            raise AddressInvalid("An SQLite address is sqlite:///absolute/path.sqlite3, without options.")
        from services.mcp_gateway.servers.database.sqlite import Sqlite

        return Sqlite(Path(path))
    raise AddressInvalid("The address must begin with postgresql:// or sqlite:///.")
