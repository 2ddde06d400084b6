"""What an input schema may say with `x-mcp-header` (2026-07-28, custom headers from tool parameters)."""

import re
from collections.abc import Iterator
from typing import Any

ANNOTATION = "x-mcp-header"

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, section 5.6.2
_TYPES = frozenset({"string", "integer", "boolean"})  # fractions have no one text
# The keywords of JSON Schema 2020-12 that hold schemas. The others hold data, in which the annotation means nothing.
_SCHEMA = frozenset(
    {
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
_SCHEMA_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SCHEMAS_BY_NAME = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties"})


def annotation_fault(schema: Any) -> str | None:
    """Say what is wrong with the annotations of an input schema, or return None.

    Clients must not use tools with faulty ones by HTTP: what their headers would say is open.
    """
    tokens: set[str] = set()
    for field, found in _schemas(schema):
        token = found.get(ANNOTATION)
        if ANNOTATION not in found:
            continue
        if not field:
            return f"{ANNOTATION} stands where no property is that a call always can have"
        if not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
            return f"{ANNOTATION} of {field!r} is no name of a header"
        kind = found.get("type")
        if not isinstance(kind, str) or kind not in _TYPES:
            return f"{ANNOTATION} of {field!r} is for strings, integers and booleans only"
        if token.lower() in tokens:
            return f"{ANNOTATION} of {field!r} is another property's too"
        tokens.add(token.lower())
    return None


def _schemas(root: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each schema with the name of the property that it is of; empty if it is none's by `properties` alone."""
    waiting: list[tuple[str, bool, Any]] = [("", True, root)]
    while waiting:
        field, plain, schema = waiting.pop()
        if not isinstance(schema, dict):
            continue
        yield (field if plain else ""), schema
        for keyword, value in schema.items():
            if keyword == "properties" and isinstance(value, dict):
                waiting += [(name, plain, part) for name, part in value.items()]
            elif keyword in _SCHEMA:
                waiting.append(("", False, value))
            elif keyword in _SCHEMA_LISTS and isinstance(value, list):
                waiting += [("", False, part) for part in value]
            elif keyword in _SCHEMAS_BY_NAME and isinstance(value, dict):
                waiting += [("", False, part) for part in value.values()]
