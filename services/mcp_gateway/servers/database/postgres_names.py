"""What the names of a statement mean in this database, asked of its catalogue.

A caller's own function, operator, type or cast can stand behind a harmless name: an overload of `lower` for another
type, a domain whose check is a function, `row.column` where `column` is a function of the row. What belongs to
PostgreSQL or to an extension, which only those who administer a database can add, may be reached; what somebody
created otherwise may not.
"""

from pathlib import Path
from typing import Any

from services.mcp_gateway.servers.database import postgres_allowed as allowed
from services.mcp_gateway.servers.database.postgres_policy import Named
from services.mcp_gateway.servers.tools import ToolRefused
from shared.db.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("postgres.sql"))

_REFUSALS = {
    "function": (
        "function_refused",
        (
            "{} would call, or could call, a function that is none of PostgreSQL's or that may not be called. Write "
            "another expression; if {} is meant as a column, give the column another name in a subquery."
        ),
    ),
    "operator": ("function_refused", "The operator {} is also one that somebody defined in this database."),
    "type": ("type_refused", "The type {} is not among those that may be used in a statement."),
    "relation": ("relation_refused", "{} belongs to the system catalogue, which is not read by query."),
    "cast": ("type_refused", "{} has a type whose casts call functions that somebody defined in this database."),
}


async def check_meanings(connection: Any, named: Named) -> None:
    """Raise `ToolRefused` if a name of the statement could reach code or relations that are not allowed."""
    types, relations = sorted(named.types), sorted(named.relations)
    row = await connection.fetchrow(
        QUERIES.meanings,
        sorted(named.functions),
        sorted(named.operators),
        [schema for schema, _ in types],
        [name for _, name in types],
        sorted(allowed.TYPES),
        sorted(named.row_fields),
        sorted(named.value_fields),
        [schema for schema, _ in relations],
        [name for _, name in relations],
        sorted(allowed.FUNCTIONS),
    )
    if row is not None:
        code, message = _REFUSALS[row["kind"]]
        raise ToolRefused(code, message.format(*[row["name"][:100]] * message.count("{}")))
