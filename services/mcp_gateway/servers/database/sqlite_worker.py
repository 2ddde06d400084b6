"""The process that reads an SQLite file: one request a line, one answer a line, until stdin ends."""

import resource
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from services.mcp_gateway.limits import SQLITE_WORKER_DATA_BYTES
from services.mcp_gateway.servers.database import sqlite_reading
from services.mcp_gateway.servers.database.sqlite_connection import connected
from services.mcp_gateway.servers.tools import ToolRefused

_CALLS: dict[str, Callable[..., Any]] = {
    "query": sqlite_reading.query,
    "tables": sqlite_reading.tables,
    "columns": sqlite_reading.columns,
}


def answer(path: Path, request: bytes) -> dict[str, Any]:
    """Return `{"result": …}` or `{"refused": (code, message)}`."""
    what, seconds, arguments = msgspec.json.decode(request)
    try:
        with connected(path, seconds) as connection:
            return {"result": _CALLS[what](connection, *arguments)}
    except ToolRefused as refused:
        return {"refused": (refused.code, refused.message)}
    except sqlite3.Error as error:
        return {"refused": ((failed := sqlite_reading.failed(error)).code, failed.message)}
    except UnicodeDecodeError:
        return {"refused": ("query_failed", "A name in the database is no UTF-8 text.")}
    except MemoryError:
        return {"refused": ("query_failed", "The statement needs more memory than it may have. Read less.")}


def main() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (SQLITE_WORKER_DATA_BYTES, SQLITE_WORKER_DATA_BYTES))
    path = Path(sys.argv[1])
    for request in sys.stdin.buffer:
        sys.stdout.buffer.write(msgspec.json.encode(answer(path, request)) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
