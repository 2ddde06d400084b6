"""A workflow that is a tool: from its definition, as the workflow service tells it, to what MCP clients are shown."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import msgspec

from services.mcp_gateway.domain.executions import HANDLE_SCHEMA, RESULT


class ExposedWorkflow(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a tool is made of. Its arguments are the input of an execution, its result the output."""

    workflow_id: UUID
    name: str
    title: str
    description: str = ""
    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] | None = None
    read_only: bool = False


class _Exposure(msgspec.Struct):
    name: str | None = None
    description: str | None = None
    output_schema: dict[str, Any] | None = None
    read_only: bool = False


class _Definition(msgspec.Struct):
    name: str
    description: str = ""
    input_schema: dict[str, Any] | None = None
    expose_as_tool: bool | _Exposure = False


def exposed_of(workflow_id: UUID, slug: str, definition: Mapping[str, Any]) -> ExposedWorkflow | None:
    """Return a workflow as a tool, None if it is none. Raises `msgspec.ValidationError` for what is no definition."""
    told = msgspec.convert(definition, _Definition)
    exposure = _Exposure() if told.expose_as_tool is True else told.expose_as_tool
    if not isinstance(exposure, _Exposure):
        return None
    return ExposedWorkflow(
        workflow_id,
        exposure.name or slug,
        told.name,
        exposure.description or told.description or f"Runs the workflow {told.name!r}.",
        told.input_schema or {},
        exposure.output_schema,
        exposure.read_only,
    )


def arguments_schema(exposed: ExposedWorkflow) -> dict[str, Any]:
    """Return the schema of the tool's arguments, which MCP wants to be one of an object by its own words."""
    return {**exposed.input_schema, "type": "object"}


def result_schema(exposed: ExposedWorkflow) -> dict[str, Any] | None:
    """Return the schema of what a call gives: the output, or how to go on while there is none yet.

    Definitions that the author's schema refers to move to the top with it, where its references find them. One that
    refers to other places of itself could not be moved, and is not published.
    """
    schema = exposed.output_schema
    if schema is None or any(not _points_to_a_definition(to) for to in _references(schema)):
        return None
    own = {name: value for name, value in schema.items() if name not in {"$defs", "definitions", "$schema", "$id"}}
    if own.get("type", "object") != "object":
        own = {"type": "object", "properties": {RESULT: own}, "required": [RESULT]}
    kept: dict[str, Any] = {name: schema[name] for name in ("$schema", "$defs", "definitions") if name in schema}
    return {**kept, "type": "object", "anyOf": [own, HANDLE_SCHEMA]}


def _points_to_a_definition(reference: Any) -> bool:
    return isinstance(reference, str) and reference.startswith(("#/$defs/", "#/definitions/"))


def _references(schema: Any) -> Iterator[Any]:
    stack = [schema]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            yield from (value[name] for name in ("$ref", "$dynamicRef", "$recursiveRef") if name in value)
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
