"""`expose_as_tool`: a workflow that MCP clients find among their tools."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from services.workflow import limits
from services.workflow.domain.language.errors import fault
from services.workflow.domain.language.fields import Text
from services.workflow.domain.language.input_schema import compile_schema
from services.workflow.domain.language.schema_work import SchemaInvalid
from shared.errors import FieldFault

if TYPE_CHECKING:
    from services.workflow.domain.language.definition import Definition

_NAME = r"^[A-Za-z0-9_-]+$"
_name = re.compile(_NAME)
RESERVED_TOOLS = frozenset({"workflow_status", "workflow_result", "workflow_cancel"})
"""The tools that stand beside the workflows."""

ToolName = Annotated[
    str, Meta(min_length=1, max_length=limits.MAX_EXPOSED_NAME_CHARS, extra_json_schema={"pattern": _NAME})
]


class Exposure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a workflow is offered as a tool: by default under its slug, with its own description.

    A tool's arguments are the execution's input, so that `input_schema` is the tool's too. `output_schema` describes
    the output. `read_only` tells clients that a run changes nothing.
    """

    name: ToolName | None = None
    description: Text | None = None
    output_schema: dict[str, Any] | None = None
    read_only: bool = False


def exposure_of(definition: "Definition") -> Exposure | None:
    """Return how a workflow is exposed, None if it is not."""
    said = definition.expose_as_tool
    if isinstance(said, bool):
        return Exposure() if said else None
    return said


def tool_name_of(definition: "Definition") -> str | None:
    """Return the name of the tool that a workflow is, None if it is none."""
    exposure = exposure_of(definition)
    return None if exposure is None else exposure.name or definition.effective_slug()


def exposure_faults(definition: "Definition") -> Iterator[FieldFault]:
    """Yield what keeps an exposed workflow from being a tool."""
    exposure = exposure_of(definition)
    if exposure is None:
        return
    name, path = tool_name_of(definition) or "", "expose_as_tool" if exposure.name is None else "expose_as_tool.name"
    if name in RESERVED_TOOLS:
        yield fault(path, f"{name!r} is the name of a tool that is there for all workflows", "reserved_name")
    elif not _name.match(name):
        yield fault(path, "a tool's name is made of letters, digits, _ and -", "bad_name")
    elif len(name) > limits.MAX_EXPOSED_NAME_CHARS:
        message = (
            f"a tool's name has at most {limits.MAX_EXPOSED_NAME_CHARS} characters: give one shorter than the slug"
        )
        yield fault(path, message, "bad_name")
    wanted = (definition.input_schema or {}).get("type", "object")
    if "object" not in (wanted if isinstance(wanted, list) else [wanted]):
        message = "a tool's arguments are an object, which this input_schema refuses: the workflow cannot be a tool"
        yield fault("input_schema.type", message, "bad_schema")
    if exposure.output_schema is not None:
        try:
            compile_schema(exposure.output_schema)
        except SchemaInvalid as error:
            path = "expose_as_tool.output_schema"
            yield fault(path, f"not a JSON Schema that can be used: {error}", "bad_schema")
