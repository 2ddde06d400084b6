"""A PostgreSQL database for reading: one checked statement in a read-only transaction, read by a cursor."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from services.mcp_gateway.limits import (
    DATABASE_CALL_SECONDS,
    DATABASE_COLUMNS_MAX,
    DATABASE_PAGE_ROWS_MAX,
    DATABASE_RECEIVED_MAX_BYTES,
    DATABASE_TABLES_MAX,
    FAULT_MESSAGE_MAX_CHARS,
)
from services.mcp_gateway.servers.database.postgres_connections import Connections, MeteredConnection
from services.mcp_gateway.servers.database.postgres_names import QUERIES, check_meanings
from services.mcp_gateway.servers.database.postgres_parser import parsing_thread
from services.mcp_gateway.servers.database.postgres_policy import check
from services.mcp_gateway.servers.database.postgres_values import argument, check_columns, of_parts
from services.mcp_gateway.servers.database.rows import Rows
from services.mcp_gateway.servers.tools import ToolRefused

_ENDED = frozenset({"08", "57"})
"""Classes of SQLSTATE: connection exception, operator intervention."""

_NO_ARGUMENT = "invalid input for query argument"
"""How asyncpg begins when it cannot encode a parameter, under the server's class of errors."""


class Postgres:
    """A `Database` by a login that may read what callers may see."""

    kind = "PostgreSQL"

    def __init__(self, url: str) -> None:
        self._connections = Connections(url)
        self._parser = parsing_thread()

    def close(self) -> None:
        self._connections.close()
        self._parser.shutdown(wait=False)

    async def query(self, sql: str, parameters: list[Any], max_rows: int) -> dict[str, Any]:
        named = await asyncio.get_running_loop().run_in_executor(self._parser, check, sql)
        rows = Rows(max_rows)
        columns: list[dict[str, str]] = []
        async with self._reading(rows) as connection:
            await check_meanings(connection, named)
            statement = await connection.prepare(sql)
            attributes = statement.get_attributes()
            check_columns(attributes)
            columns = [{"name": column.name, "type": column.type.name} for column in attributes]
            await _read(statement, parameters, rows)
        return rows.result(columns)

    async def tables(self, schema: str | None) -> list[dict[str, Any]]:
        async with self._reading() as connection:
            found = await connection.fetch(QUERIES.tables, schema, None, DATABASE_TABLES_MAX + 1)
        return [_present(row) for row in found]

    async def columns(self, schema: str | None, table: str | None) -> list[dict[str, Any]]:
        async with self._reading() as connection:
            found = await connection.fetch(QUERIES.tables, schema, table, DATABASE_TABLES_MAX + 1)
            if table is not None:
                found = found[:1]
            ids = [row["oid"] for row in found]
            columns = await connection.fetch(QUERIES.columns, ids, DATABASE_COLUMNS_MAX + 1)
            keys = await connection.fetch(QUERIES.keys, ids, DATABASE_COLUMNS_MAX)
        described = defaultdict(list)
        for row in columns:
            described[row["oid"]].append(_present(row))
        primary = {row["oid"]: row["columns"] for row in keys if row["type"] == "p"}
        foreign = defaultdict(list)
        for row in keys:
            if row["type"] == "f":
                foreign[row["oid"]].append(
                    {
                        "columns": row["columns"],
                        "references": row["referenced"],
                        "referenced_columns": row["referenced_columns"],
                    }
                )
        return [
            {
                **_present(row),
                "columns": described[row["oid"]],
                "primary_key": primary.get(row["oid"], []),
                "foreign_keys": foreign[row["oid"]],
            }
            for row in found
        ]

    @asynccontextmanager
    async def _reading(self, rows: Rows | None = None) -> AsyncIterator[MeteredConnection]:
        """Lend a connection in a read-only transaction for the time of a call, and turn errors into refusals.

        If too much arrived after some rows, it ends as usual, with the rows marked as truncated.
        """
        meter = None
        try:
            async with self._connections.lend() as connection, asyncio.timeout(DATABASE_CALL_SECONDS):
                meter = connection.meter
                await connection.execute("BEGIN READ ONLY")  # and ROLLBACK when the connection is taken back
                await connection.execute(QUERIES.confine)
                yield connection
        except (TimeoutError, asyncpg.QueryCanceledError):
            raise ToolRefused(
                "statement_timeout", "The statement took too long. Read less: filter more, or use an index."
            ) from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
            if meter is None or not meter.exceeded:
                raise _failed(error) from error
            if rows is None or not rows.count:
                raise _too_much() from error
            rows.truncated = True


async def _read(statement: Any, parameters: list[Any], rows: Rows) -> None:
    types = statement.get_parameters()
    if len(types) != len(parameters):
        raise ToolRefused(
            "parameters_invalid", f"The statement has {len(types)} parameters, and {len(parameters)} values were given."
        )
    values = [argument(value, kind.name) for value, kind in zip(parameters, types, strict=True)]
    cursor = await statement.cursor(*values)
    size = 1
    while True:
        wanted = min(size, rows.room)
        page = await cursor.fetch(wanted)
        if not all(rows.add(row) for row in page) or len(page) < wanted:
            return
        size = min(2 * size, DATABASE_PAGE_ROWS_MAX)


def _present(row: Any) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "oid" and value is not None}


def _too_much() -> ToolRefused:
    return ToolRefused(
        "result_too_large",
        f"More than {DATABASE_RECEIVED_MAX_BYTES} bytes came for one call. Select fewer columns, or parts of long "
        "values with substr().",
    )


def _failed(error: Exception) -> ToolRefused:
    message = str(error).partition("\n")[0][:FAULT_MESSAGE_MAX_CHARS]
    if isinstance(error, asyncpg.UnsupportedClientFeatureError):
        return of_parts()
    if isinstance(error, ValueError) or message.startswith(_NO_ARGUMENT):
        return ToolRefused("parameters_invalid", f"The parameters do not fit the statement: {message}")
    state = getattr(error, "sqlstate", None) or "08000"
    if state[:2] in _ENDED:
        return ToolRefused("database_unavailable", f"The connection was lost (SQLSTATE {state}). Try again.")
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return ToolRefused("permission_denied", f"{message} (SQLSTATE {state}). list_tables shows what can be read.")
    return ToolRefused("query_failed", f"{message} (SQLSTATE {state}). Compare the statement with describe_table.")
