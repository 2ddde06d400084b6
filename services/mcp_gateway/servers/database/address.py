"""Which database an address names. Addresses hold passwords: no message here repeats any part of one."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from services.mcp_gateway.servers.database.ports import Database


class AddressInvalid(ValueError):
    """The address names no database of a kind that is served."""


def open_database(url: str, *, create: bool = False) -> Database:
    """Return the database of an address. Nothing is connected yet.

    `create`: an SQLite file that is missing is made, empty. Raises `AddressInvalid`, and `OSError` if that fails.
    """
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

        if create:
            Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            Path(path).touch(exist_ok=True)  # nothing is an empty database
        return Sqlite(Path(path))
    raise AddressInvalid("The address must begin with postgresql:// or sqlite:///.")
