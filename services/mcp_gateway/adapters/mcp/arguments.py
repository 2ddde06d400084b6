"""Checks a call's arguments against the tool's input schema, before anything is sent."""

from collections import OrderedDict
from itertools import islice
from typing import Any

import jsonschema_rs
import msgspec

from services.mcp_gateway.errors import ArgumentsInvalid, ToolSchemaInvalid
from services.mcp_gateway.limits import (
    ARGUMENT_FAULTS_MAX,
    FAULT_MESSAGE_MAX_CHARS,
    SCHEMA_MAX_BYTES,
    SCHEMA_PATTERN_BYTES,
    SCHEMAS_CACHED,
)
from shared.errors import FieldFault


class ArgumentValidator:
    """Compiles input schemas once and keeps the most recently used ones.

    `definition_hash` names the schema: the same hash must always come with the same schema. Schemas come from servers
    that are not trusted: references outside the schema are refused, and patterns run on a linear-time engine.
    """

    def __init__(self, capacity: int = SCHEMAS_CACHED) -> None:
        self._capacity = capacity
        self._compiled: OrderedDict[str, jsonschema_rs.Validator] = OrderedDict()

    def check(self, definition_hash: str, schema: dict[str, Any], arguments: dict[str, Any]) -> None:
        """Raise `ArgumentsInvalid` with a fault per wrong argument, or `ToolSchemaInvalid` for a schema of no use."""
        validator = self._compiled.get(definition_hash)
        if validator is None:
            validator = self._compiled[definition_hash] = _compile(schema)
            if len(self._compiled) > self._capacity:
                self._compiled.popitem(last=False)
        else:
            self._compiled.move_to_end(definition_hash)
        try:
            if validator.is_valid(arguments):
                return
            faults = _faults(validator, arguments)
        except (ValueError, RecursionError) as error:  # such as arguments that are nested too deeply
            raise ArgumentsInvalid(f"The arguments cannot be checked: {_short(str(error))}") from error
        first = f"{faults[0].path}: {faults[0].message}" if faults[0].path else faults[0].message
        raise ArgumentsInvalid(f"The arguments do not fit the tool: {first}", faults=faults)


def _compile(schema: dict[str, Any]) -> jsonschema_rs.Validator:
    try:
        if len(msgspec.json.encode(schema)) > SCHEMA_MAX_BYTES:
            raise ToolSchemaInvalid(f"The tool's input schema is larger than {SCHEMA_MAX_BYTES} bytes.")
        return jsonschema_rs.validator_for(
            schema,
            offline=True,
            pattern_options=jsonschema_rs.RegexOptions(
                size_limit=SCHEMA_PATTERN_BYTES, dfa_size_limit=SCHEMA_PATTERN_BYTES
            ),
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, RecursionError) as error:
        raise ToolSchemaInvalid(f"The tool's input schema is unusable: {_short(str(error))}") from error


def _faults(validator: jsonschema_rs.Validator, arguments: dict[str, Any]) -> list[FieldFault]:
    return [
        FieldFault(_path(error.instance_path), _short(error.message), code=error.kind.name)
        for error in islice(validator.iter_errors(arguments), ARGUMENT_FAULTS_MAX)
    ]


def _path(steps: list[str | int]) -> str:
    """Write a path as `items[2].name`."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return path.removeprefix(".")


def _short(message: str) -> str:
    return message if len(message) <= FAULT_MESSAGE_MAX_CHARS else message[: FAULT_MESSAGE_MAX_CHARS - 1] + "…"
