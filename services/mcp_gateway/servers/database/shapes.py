"""The JSON Schemas of the tools' results."""

from typing import Any


def _object(properties: dict[str, Any], *optional: str) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_TEXT = {"type": "string"}
_TEXTS = _array(_TEXT)
_TRUNCATED = {"type": "boolean", "description": "True if there is more than is shown."}

QUERY = _object(
    {
        "columns": _array(_object({"name": _TEXT, "type": _TEXT})),
        "rows": {
            "type": "array",
            "items": {"type": "array"},
            "description": (
                "Values in the order of the columns. Text stands for what JSON cannot hold: decimals, dates, times, "
                "UUIDs, NaN and infinities, bytes as \\x and hexadecimal digits, and integers beyond ±(2^53 - 1)."
            ),
        },
        "row_count": {"type": "integer", "description": "Of the rows that are shown."},
        "truncated": _TRUNCATED,
    }
)

_TABLE: dict[str, Any] = {
    "schema": _TEXT,
    "name": _TEXT,
    "kind": {"enum": ["table", "view", "materialized_view", "foreign_table"]},
    "comment": _TEXT,
}
TABLES = _object({"tables": _array(_object(_TABLE, "comment")), "truncated": _TRUNCATED})

_COLUMN = _object(
    {"name": _TEXT, "type": _TEXT, "nullable": {"type": "boolean"}, "default": _TEXT, "comment": _TEXT},
    "default",
    "comment",
)
_FOREIGN_KEY = _object({"columns": _TEXTS, "references": _TEXT, "referenced_columns": _TEXTS})
_DESCRIBED = {**_TABLE, "columns": _array(_COLUMN), "primary_key": _TEXTS, "foreign_keys": _array(_FOREIGN_KEY)}
DESCRIBED = _object(_DESCRIBED, "comment")
SCHEMA = _object({"tables": _array(DESCRIBED), "truncated": _TRUNCATED})
