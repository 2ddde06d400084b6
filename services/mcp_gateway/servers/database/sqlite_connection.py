"""One connection to an SQLite file, as bound as SQLite can make it."""

import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from services.mcp_gateway.limits import (
    DATABASE_SQL_MAX_BYTES,
    SQLITE_HEAP_MAX_BYTES,
    SQLITE_STEPS_BETWEEN_LOOKS,
    SQLITE_VALUE_MAX_BYTES,
)
from services.mcp_gateway.servers.tools import ToolRefused

_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: SQLITE_VALUE_MAX_BYTES,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: DATABASE_SQL_MAX_BYTES,
    sqlite3.SQLITE_LIMIT_COLUMN: 500,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 500,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 100,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 250_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 100,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1_000,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 200,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}

_PRAGMAS = (
    "PRAGMA query_only = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA temp_store = MEMORY",  # what is sorted does not go to files, so that the heap's bound holds for it
    f"PRAGMA hard_heap_limit = {SQLITE_HEAP_MAX_BYTES}",  # of the process
)


def unavailable(why: str) -> ToolRefused:
    return ToolRefused(
        "database_unavailable", f"The database file cannot be read: {why}. Whoever runs this server should look at it."
    )


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another program has the file locked just now."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def busy() -> ToolRefused:
    return ToolRefused("database_busy", "Another program is writing to the database. Try again in a moment.")


@contextmanager
def connected(path: Path, seconds: float) -> Iterator[sqlite3.Connection]:
    """Open the file for reading, with all bounds, for one call of so many seconds.

    Raises `ToolRefused` (`database_unavailable`, `database_busy`).
    """
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise unavailable("it is no regular file")
        # To SQLite a journal beside an empty file is left over, and it deletes it: it may belong to what comes next.
        name = f"file:{quote(str(path))}?mode=ro" if info.st_size else "file::memory:"
        connection = sqlite3.connect(name, uri=True, isolation_level=None, timeout=1.0)
    except FileNotFoundError:
        raise unavailable("it does not exist") from None
    except (OSError, sqlite3.Error):
        raise unavailable("it cannot be opened") from None
    with closing(connection):
        try:
            for pragma in _PRAGMAS:
                connection.execute(pragma)
            # Reads the schema, which may hold what no statement of a caller's may: the limits are for those.
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
            for limit, value in _LIMITS.items():
                connection.setlimit(limit, value)
        except sqlite3.Error as error:
            raise (busy() if is_busy(error) else unavailable(str(error)[:100])) from None
        ends = time.monotonic() + seconds
        connection.set_progress_handler(lambda: time.monotonic() > ends, SQLITE_STEPS_BETWEEN_LOOKS)
        connection.text_factory = _text
        yield connection


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
