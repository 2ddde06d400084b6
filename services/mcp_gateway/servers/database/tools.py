"""The four tools, over any database."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from services.mcp_gateway.limits import (
    DATABASE_COLUMNS_MAX,
    DATABASE_NAME_MAX_CHARS,
    DATABASE_PARAMETERS_MAX,
    DATABASE_RESULT_MAX_BYTES,
    DATABASE_ROWS_DEFAULT,
    DATABASE_ROWS_MAX,
    DATABASE_SQL_MAX_BYTES,
    DATABASE_TABLES_MAX,
)
from services.mcp_gateway.servers.base import ToolServer
from services.mcp_gateway.servers.database import shapes
from services.mcp_gateway.servers.database.ports import Database
from services.mcp_gateway.servers.tools import ToolHints, ToolOutput, ToolRefused

_HINTS = ToolHints(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)

Name = Annotated[str, Meta(max_length=DATABASE_NAME_MAX_CHARS)]
SchemaName = Annotated[Name | None, Meta(description="Only this schema. All that can be read if left out.")]


def database_server(database: Database) -> ToolServer:
    """Return the server of a database."""
    server = ToolServer(
        "database",
        version="1.0.0",
        instructions=(
            f"Reads a {database.kind} database. Begin with get_schema or list_tables; then query with one SELECT at a "
            "time, values as parameters. Nothing can be written."
        ),
    )

    @server.tool(hints=_HINTS, output_schema=shapes.QUERY)
    async def query(
        sql: Annotated[
            str,
            Meta(description=f"One statement that reads: SELECT, VALUES, WITH or EXPLAIN, in {database.kind}'s SQL."),
        ],
        parameters: Annotated[
            Annotated[list[Any], Meta(max_length=DATABASE_PARAMETERS_MAX)] | None,
            Meta(description="Values for $1, $2, … (PostgreSQL) or ?, ?, … (SQLite); dates and decimals as text."),
        ] = None,
        max_rows: Annotated[
            int, Meta(description="How many rows to return at most.", ge=1, le=DATABASE_ROWS_MAX)
        ] = DATABASE_ROWS_DEFAULT,
    ) -> ToolOutput:
        """Run one read-only SQL statement and return its columns and rows."""
        return _output(await database.query(checked_text(sql), parameters or [], max_rows))

    @server.tool(hints=_HINTS, output_schema=shapes.TABLES)
    async def list_tables(schema: SchemaName = None) -> ToolOutput:
        """List the tables and views that can be read."""
        return _tables(await database.tables(schema))

    @server.tool(hints=_HINTS, output_schema=shapes.DESCRIBED)
    async def describe_table(
        table: Annotated[Name, Meta(description="The table's or view's name alone, unquoted.")],
        schema: Annotated[Name | None, Meta(description="Its schema, if it is not the default.")] = None,
    ) -> ToolOutput:
        """Describe one table or view: columns, primary key and foreign keys."""
        found = await database.columns(schema, table)
        if not found:
            raise ToolRefused(
                "table_not_found",
                "There is no table or view of this name that can be read. list_tables shows those that there are; "
                "`table` takes the name alone, and `schema` the schema.",
            )
        if len(msgspec.json.encode(found[0])) > DATABASE_RESULT_MAX_BYTES:
            raise ToolRefused(
                "result_too_large", "The description of this table is too long. Query its columns with LIMIT 1 instead."
            )
        return _output(found[0])

    @server.tool(hints=_HINTS, output_schema=shapes.SCHEMA)
    async def get_schema(schema: SchemaName = None) -> ToolOutput:
        """Describe all tables and views that can be read, with their columns and keys."""
        return _tables(await database.columns(schema, None))

    return server


def checked_text(sql: str) -> str:
    """Refuse what no parser should see."""
    try:
        size = len(sql.encode())
    except UnicodeEncodeError:
        raise ToolRefused("sql_invalid", "The statement has characters that are not Unicode text.") from None
    if size > DATABASE_SQL_MAX_BYTES:
        raise ToolRefused(
            "sql_too_long", f"A statement has at most {DATABASE_SQL_MAX_BYTES} bytes. Pass long values as parameters."
        )
    if "\0" in sql:
        raise ToolRefused("sql_invalid", "A statement cannot have a NUL character.")
    return sql


def _tables(found: list[dict[str, Any]]) -> ToolOutput:
    """Show as many as fit within the bounds."""
    shown: list[dict[str, Any]] = []
    columns = size = 0
    for table in found[:DATABASE_TABLES_MAX]:
        columns += len(table.get("columns", ()))
        size += len(msgspec.json.encode(table))
        if columns > DATABASE_COLUMNS_MAX or size > DATABASE_RESULT_MAX_BYTES:
            break
        shown.append(table)
    return _output({"tables": shown, "truncated": len(found) > len(shown)})


def _output(structured: dict[str, Any]) -> ToolOutput:
    return ToolOutput(structured, msgspec.json.encode(structured).decode())
