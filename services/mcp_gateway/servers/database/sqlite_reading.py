"""What is done with a connection to an SQLite file. It runs in a process of its own, `sqlite_worker.py`."""

import sqlite3
from pathlib import Path
from typing import Any

from services.mcp_gateway.limits import DATABASE_COLUMNS_MAX, DATABASE_TABLES_MAX, FAULT_MESSAGE_MAX_CHARS
from services.mcp_gateway.servers.database.rows import Rows
from services.mcp_gateway.servers.database.sqlite_connection import busy, is_busy
from services.mcp_gateway.servers.database.sqlite_policy import Authorizer
from services.mcp_gateway.servers.tools import ToolRefused
from shared.db.queries import load_queries

_QUERIES = load_queries(Path(__file__).with_name("sqlite.sql"))
_STORAGE = {int: "integer", float: "real", str: "text", bytes: "blob", type(None): "null"}
"""Storage classes. A column's is that of its first value that is not null, since expressions have no declared type."""


def query(connection: sqlite3.Connection, sql: str, parameters: list[Any], max_rows: int) -> dict[str, Any]:
    modules = frozenset(name.lower() for (name,) in connection.execute(_QUERIES.modules))
    _connect_virtual_tables(connection)
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
        if str(error).startswith("unsafe use of"):
            raise ToolRefused("function_refused", f"A view makes {error}.") from error
        if "one statement at a time" in str(error):
            raise ToolRefused("statement_refused", "One statement at a time; one semicolon may end it.") from error
        raise
    return rows.result(columns)


def _connect_virtual_tables(connection: sqlite3.Connection) -> None:
    """Use them once: they declare themselves by a CREATE TABLE then, which the authorizer would refuse."""
    connection.execute(_QUERIES.connect_table_functions).fetchall()
    for (name,) in connection.execute(_QUERIES.virtual_tables).fetchall():
        try:
            connection.execute(_QUERIES.connect_virtual_table, (name,)).fetchall()
        except sqlite3.OperationalError as error:
            if failed(error).code != "query_failed":
                raise
            # Its module is not here. A statement that reads it will be told; the other tables are none the worse.


def tables(connection: sqlite3.Connection, schema: str | None, table: str | None) -> list[dict[str, Any]]:
    if schema not in {None, "main"}:
        return []
    return _fetch(connection, _QUERIES.tables, table=table, count=DATABASE_TABLES_MAX + 1)


def columns(connection: sqlite3.Connection, schema: str | None, table: str | None) -> list[dict[str, Any]]:
    return [_described(connection, found) for found in tables(connection, schema, table)]


def _described(connection: sqlite3.Connection, table: dict[str, Any]) -> dict[str, Any]:
    try:
        columns = _fetch(connection, _QUERIES.columns, table=table["name"], count=DATABASE_COLUMNS_MAX)
    except sqlite3.OperationalError as error:
        if failed(error).code != "query_failed":
            raise
        columns = []  # a view that does not work does not hide the others
    places = {column["name"]: column.pop("pk") for column in columns}
    primary = sorted((name for name, place in places.items() if place), key=places.__getitem__)
    foreign: dict[int, dict[str, Any]] = {}
    for row in _fetch(connection, _QUERIES.foreign_keys, table=table["name"], count=DATABASE_COLUMNS_MAX):
        key = foreign.setdefault(row["id"], {"columns": [], "references": row["referenced"], "referenced_columns": []})
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


def failed(error: sqlite3.Error) -> ToolRefused:
    message = str(error)[:FAULT_MESSAGE_MAX_CHARS]
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
        return took_too_long()
    if is_busy(error):
        return busy()
    return ToolRefused("query_failed", f"{message}. Compare the statement with describe_table.")


def took_too_long() -> ToolRefused:
    return ToolRefused("statement_timeout", "The statement took too long. Read less: filter more, or use an index.")
