"""Values between JSON and PostgreSQL. What JSON lacks goes both ways as PostgreSQL's own text."""

from typing import Any

import asyncpg
import msgspec

from services.mcp_gateway.servers.tools import ToolRefused

_AS_TEXT = (
    "numeric", "money", "date", "time", "timetz", "timestamp", "timestamptz", "interval", "uuid", "bytea",
    "inet", "cidr", "macaddr", "macaddr8", "bit", "varbit", "point", "line", "lseg", "box", "path", "polygon", "circle",
    "tsvector", "tsquery",
)  # fmt: skip
_JSON = ("json", "jsonb")
_MADE_OF = frozenset({"composite", "range", "multirange"})
_INTEGERS = frozenset({"int2", "int4", "int8", "oid"})
_FLOATS = frozenset({"float4", "float8"})


async def read_and_write_as_text(connection: "asyncpg.Connection[Any]") -> None:
    """Make the connection use text for the types that JSON lacks."""
    for name in _AS_TEXT:
        await connection.set_type_codec(name, schema="pg_catalog", encoder=str, decoder=str, format="text")
    for name in _JSON:
        await connection.set_type_codec(name, schema="pg_catalog", encoder=str, decoder=_json, format="text")


def _json(text: str) -> Any:
    """Return a JSON column's value, or its text if that is not a value that every reader of JSON would read alike."""
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return text


def check_columns(attributes: Any) -> None:
    """Raise `ToolRefused` (`type_refused`) for columns whose values come in parts, which are in binary all the same."""
    for column in attributes:
        name = column.type.name.removesuffix("[]")
        if name == "record" or name.endswith("range") or column.type.kind in _MADE_OF:
            raise of_parts()


def of_parts() -> ToolRefused:
    return ToolRefused(
        "type_refused", "Rows and ranges cannot be columns of a result. Select them as text (…::text) or to_jsonb(…)."
    )


def argument(value: Any, type_name: str) -> Any:
    """Return a parameter as asyncpg takes it for a type. Raises `ToolRefused` (`parameters_invalid`)."""
    result = value
    if value is None:
        pass
    elif type_name.endswith("[]"):
        if not isinstance(value, list):
            raise _invalid("an array", type_name)
        result = [argument(item, type_name if isinstance(item, list) else type_name[:-2]) for item in value]
    elif type_name in _JSON:
        result = msgspec.json.encode(value).decode()
    elif type_name == "bool":
        result = _of(value, bool, "true or false", type_name)
    elif type_name in _INTEGERS:
        result = _of(value, int, "an integer", type_name)
    elif type_name in _FLOATS:
        result = float(_of(value, int | float | str, "a number", type_name))
    elif not isinstance(value, str):
        # Everything else is read from text; numbers are let through for decimals.
        result = str(_of(value, int | float, "text", type_name))
    return result


def _of(value: Any, kind: Any, what: str, type_name: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _invalid(what, type_name)
    return value


def _invalid(what: str, type_name: str) -> ToolRefused:
    return ToolRefused("parameters_invalid", f"A parameter of type {type_name} must be {what}.")
