"""How much work a JSON Schema can make, found before it is used.

A schema of a few hundred bytes can double its work with every reference (`anyOf: [{$ref: next}, {$ref: next}]`), and a
validator in native code cannot be interrupted. So every reference is followed here first, within a bound.
"""

from typing import Any

import msgspec

from services.workflow.limits import MAX_SCHEMA_NESTING, MAX_SUBSCHEMAS

_MAPS = frozenset({"properties", "patternProperties", "dependentSchemas", "dependencies"})
_NOT_APPLIED = frozenset({"$defs", "definitions", "enum", "const", "default", "examples"})
_DESCENDING = frozenset(
    {
        "properties",
        "patternProperties",
        "additionalProperties",
        "unevaluatedProperties",
        "propertyNames",
        "items",
        "prefixItems",
        "additionalItems",
        "unevaluatedItems",
        "contains",
    }
)
_UNSUPPORTED = frozenset({"$dynamicRef", "$recursiveRef"})


class SchemaInvalid(Exception):
    """A schema is no JSON Schema, or one that is not safe to use. Internal: `validation` makes it a fault."""


class SchemaWork(msgspec.Struct, frozen=True):
    """`subschemas`: how many there are with references followed. `loops`: how many of these lead back to a holder."""

    subschemas: int
    loops: int

    def units(self, size: int, depth: int) -> int:
        """Return an upper bound of the steps that checking a value of `size` bytes and `depth` levels takes."""
        repeated = self.loops**depth if self.loops > 1 else 1
        return self.subschemas * size * repeated


def schema_work(schema: dict[str, Any]) -> SchemaWork:
    """Follow every reference of `schema`. Raises `SchemaInvalid` for what is unbounded or beyond the bounds."""
    survey = _Survey(schema)
    survey.visit(schema, 0)
    return SchemaWork(survey.subschemas, survey.loops)


class _Survey:
    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root
        self.subschemas = 0
        self.loops = 0
        # The schemas being visited, each with how many levels of the value lie above it.
        self._open: dict[int, int] = {}

    def visit(self, schema: Any, level: int) -> None:
        if not isinstance(schema, dict):
            return
        if id(schema) in self._open:
            if self._open[id(schema)] == level:
                raise SchemaInvalid("a schema refers to itself without looking deeper into the value")
            self.loops += 1
            return
        self.subschemas += 1
        if self.subschemas > MAX_SUBSCHEMAS:
            raise SchemaInvalid(f"more than {MAX_SUBSCHEMAS:,} subschemas, when references are followed")
        if len(self._open) >= MAX_SCHEMA_NESTING:
            raise SchemaInvalid(f"schemas are nested more than {MAX_SCHEMA_NESTING} deep, when references are followed")
        self._open[id(schema)] = level
        for keyword, held in schema.items():
            self._keyword(schema, keyword, held, level)
        del self._open[id(schema)]

    def _keyword(self, schema: dict[str, Any], keyword: str, held: Any, level: int) -> None:
        if keyword in _NOT_APPLIED:
            return
        if keyword in _UNSUPPORTED or (keyword == "$id" and schema is not self.root):
            raise SchemaInvalid(f"{keyword} is not supported here")
        if keyword == "$ref":
            self.visit(self._target(held), level)
            return
        inside = level + (keyword in _DESCENDING)
        if isinstance(held, list):
            for subschema in held:
                self.visit(subschema, inside)
        elif isinstance(held, dict) and keyword in _MAPS:
            for subschema in held.values():
                self.visit(subschema, inside)
        else:
            self.visit(held, inside)

    def _target(self, reference: Any) -> Any:
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise SchemaInvalid("a $ref is '#' or begins with '#/': nothing is fetched")
        target: Any = self.root
        for part in reference[2:].split("/") if len(reference) > 1 else ():
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(target, dict) and key in target:
                target = target[key]
            elif isinstance(target, list) and key.isascii() and key.isdigit() and int(key[:6]) < len(target):
                target = target[int(key[:6])]
            else:
                raise SchemaInvalid(f"the $ref {reference!r} leads nowhere")
        return target
