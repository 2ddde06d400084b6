"""An SQLite file for reading."""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from services.mcp_gateway.limits import (
    DATABASE_CALL_SECONDS,
    DATABASE_COLUMNS_MAX,
    DATABASE_CONNECTIONS_MAX,
    DATABASE_TABLES_MAX,
    DATABASE_WAIT_SECONDS,
    FAULT_MESSAGE_MAX_CHARS,
)
from services.mcp_gateway.servers.database.rows import Rows
from services.mcp_gateway.servers.database.sqlite_connection import connected
from services.mcp_gateway.servers.database.sqlite_policy import Authorizer
from services.mcp_gateway.servers.tools import ToolRefused
from shared.db.queries import load_queries

_QUERIES = load_queries(Path(__file__).with_name("sqlite.sql"))
_INTEGER_MAX = 2**63 - 1
_STORAGE = {int: "integer", float: "real", str: "text", bytes: "blob", type(None): "null"}
"""Storage classes. A column's is that of its first value that is not null, since expressions have no declared type."""

_BUSY = ("locked", "busy")

_Result = TypeVar("_Result")


class Sqlite:
    """A `Database` in a file, which is opened anew for each call, in a thread."""

    kind = "SQLite"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = ThreadPoolExecutor(DATABASE_CONNECTIONS_MAX, thread_name_prefix="sqlite")
        self._free = asyncio.Semaphore(DATABASE_CONNECTIONS_MAX)

    def close(self) -> None:
        self._threads.shutdown(wait=False)

    async def query(self, sql: str, parameters: list[Any], max_rows: int) -> dict[str, Any]:
        return await self._run(_query, sql, [_argument(value) for value in parameters], max_rows)

    async def tables(self, schema: str | None) -> list[dict[str, Any]]:
        return await self._run(_tables, schema, None)

    async def columns(self, schema: str | None, table: str | None) -> list[dict[str, Any]]:
        return await self._run(_columns, schema, table)

    async def _run(self, function: Any, *arguments: Any) -> Any:
        """Run a function with a connection in a thread.

        The caller is answered in time even if a single step of SQLite, which nothing interrupts, takes longer; the
        thread counts as in use until it has ended.
        """
        try:
            async with asyncio.timeout(DATABASE_WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            raise ToolRefused("database_busy", "All connections are in use. Try again in a moment.") from None
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._threads, _connected, self._path, function, arguments)
        running.add_done_callback(self._ended)
        try:
            async with asyncio.timeout(DATABASE_CALL_SECONDS):
                return await asyncio.shield(running)
        except TimeoutError:
            raise _timeout() from None

    def _ended(self, running: "asyncio.Future[Any]") -> None:
        self._free.release()
        if not running.cancelled():
            running.exception()  # nobody may have waited for it


def _connected(path: Path, function: Any, arguments: tuple[Any, ...]) -> Any:
    with connected(path) as connection:
        try:
            return function(connection, *arguments)
        except sqlite3.Error as error:
            raise _failed(error) from error


def _query(connection: sqlite3.Connection, sql: str, parameters: list[Any], max_rows: int) -> dict[str, Any]:
    modules = frozenset(name.lower() for (name,) in connection.execute(_QUERIES.modules))
    authorizer = Authorizer(modules)
    connection.set_authorizer(authorizer)
    rows = Rows(max_rows)
    try:
        cursor = connection.execute(sql, parameters)
        if cursor.description is None:
            raise ToolRefused("statement_refused", "There is no statement that returns rows. Write one SELECT.")
        columns = [{"name": column[0], "type": "null"} for column in cursor.description]
        for row in cursor:
            if not rows.add(row):
                break
            for column, value in zip(columns, row, strict=True):
                if column["type"] == "null":
                    column["type"] = _STORAGE[type(value)]
    except (sqlite3.Error, sqlite3.Warning) as error:
        if authorizer.denied is not None:
            raise ToolRefused(*authorizer.denied) from error
        if "one statement at a time" in str(error):
            raise ToolRefused("statement_refused", "One statement at a time; one semicolon may end it.") from error
        raise
    except MemoryError:
        raise ToolRefused("query_failed", "The statement needs more memory than it may have. Read less.") from None
    return rows.result(columns)


def _tables(connection: sqlite3.Connection, schema: str | None, table: str | None) -> list[dict[str, Any]]:
    if schema not in {None, "main"}:
        return []
    return _fetch(connection, _QUERIES.tables, table=table, count=DATABASE_TABLES_MAX + 1)


def _columns(connection: sqlite3.Connection, schema: str | None, table: str | None) -> list[dict[str, Any]]:
    return [_described(connection, found) for found in _tables(connection, schema, table)]


def _described(connection: sqlite3.Connection, table: dict[str, Any]) -> dict[str, Any]:
    columns = _fetch(connection, _QUERIES.columns, table=table["name"], count=DATABASE_COLUMNS_MAX)
    places = {column["name"]: column.pop("pk") for column in columns}
    primary = sorted((name for name, place in places.items() if place), key=places.__getitem__)
    foreign: dict[int, dict[str, Any]] = {}
    for row in _fetch(connection, _QUERIES.foreign_keys, table=table["name"], count=DATABASE_COLUMNS_MAX):
        key = foreign.setdefault(
            row["id"], {"columns": [], "references": row["referenced"], "referenced_columns": []}
        )
        key["columns"].append(row["own"])
        # NULL if the key is to the other table's primary key
        key["referenced_columns"] += [row["referenced_column"]] if row["referenced_column"] else []
    for column in columns:
        column["nullable"] = bool(column["nullable"])
        if column["default"] is None:
            del column["default"]
    return {**table, "columns": columns, "primary_key": primary, "foreign_keys": list(foreign.values())}


def _fetch(connection: sqlite3.Connection, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    cursor = connection.execute(sql, parameters)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _argument(value: Any) -> Any:
    if value is None or isinstance(value, str | float | bool):
        return value
    if isinstance(value, int) and -_INTEGER_MAX - 1 <= value <= _INTEGER_MAX:
        return value
    raise ToolRefused(
        "parameters_invalid", "Parameters for SQLite are text, numbers of up to 64 bits, true, false or null."
    )


def _timeout() -> ToolRefused:
    return ToolRefused("statement_timeout", "The statement took too long. Read less: filter more, or use an index.")


def _failed(error: sqlite3.Error) -> ToolRefused:
    message = str(error)[:FAULT_MESSAGE_MAX_CHARS]
    if message == "interrupted":
        return _timeout()
    if any(word in message for word in _BUSY):
        return ToolRefused("database_busy", "Another program is writing to the database. Try again in a moment.")
    return ToolRefused("query_failed", f"{message}. Compare the statement with describe_table.")
