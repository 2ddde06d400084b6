"""Which annotations of input schemas are refused: as the official SDK does."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.inbound import find_invalid_x_mcp_header

from services.mcp_gateway.domain.param_annotations import annotation_fault


def annotated(token: Any, kind: Any = "string") -> dict[str, Any]:
    return {"type": kind, "x-mcp-header": token}


def with_fields(**fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields}


GOOD = [
    {},
    None,
    with_fields(a=annotated("Region"), b=annotated("Count", "integer"), c=annotated("Sure", "boolean")),
    with_fields(a=with_fields(b=annotated("Deep"))),
    with_fields(a={"default": {"x-mcp-header": "data"}}),
]
BAD = [
    with_fields(a=annotated("")),
    with_fields(a=annotated("My Region")),
    with_fields(a=annotated("Region:Primary")),
    with_fields(a=annotated("Région")),
    with_fields(a=annotated("Region\t1")),
    with_fields(a=annotated(7)),
    with_fields(a=annotated("A", "number")),
    with_fields(a=annotated("A", "object")),
    with_fields(a=annotated("A", "array")),
    with_fields(a=annotated("A", "null")),
    with_fields(a=annotated("A", ["string", "null"])),
    with_fields(a={"x-mcp-header": "A"}),
    with_fields(a=annotated("A"), b=annotated("A")),
    with_fields(a=annotated("MyField"), b=annotated("myfield")),
    with_fields(a=annotated("A"), b=with_fields(c=annotated("a"))),
    {"x-mcp-header": "Root", "type": "string"},
    with_fields(a={"type": "array", "items": annotated("A")}),
    {"allOf": [with_fields(a=annotated("A"))]},
    {"$defs": {"a": annotated("A")}},
    {"patternProperties": {"a": annotated("A")}},
]


@pytest.mark.parametrize("schema", GOOD)
def test_good_ones(schema: Any) -> None:
    assert annotation_fault(schema) is None
    assert find_invalid_x_mcp_header(schema) is None


@pytest.mark.parametrize("schema", BAD)
def test_faulty_ones(schema: Any) -> None:
    assert annotation_fault(schema) is not None
    assert find_invalid_x_mcp_header(schema) is not None


LEAVES = st.builds(annotated, st.sampled_from(["A", "a", "B", "", "x y"]), st.sampled_from(["string", "number"]))
WORDS = st.sampled_from(["properties", "items", "allOf", "$defs", "default", "a", "b", "if"])
SCHEMAS = st.recursive(
    LEAVES | st.none() | st.booleans(),
    lambda parts: st.dictionaries(WORDS, parts | st.lists(parts, max_size=2), max_size=3),
    max_leaves=8,
)


@given(SCHEMAS)
def test_any_schema_is_judged_as_the_sdk_does(schema: Any) -> None:
    assert (annotation_fault(schema) is None) == (find_invalid_x_mcp_header(schema) is None)


def test_a_deep_schema_is_judged_too() -> None:
    schema: dict[str, Any] = annotated("A")
    for _ in range(50_000):
        schema = {"not": schema}
    assert annotation_fault(schema) is not None
