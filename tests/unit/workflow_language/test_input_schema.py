"""Input schemas: faults with paths, nothing fetched, and no schema or input that keeps the validator busy."""

import time
from typing import Any

import pytest

from services.workflow import limits
from services.workflow.domain.language.errors import InputInvalid
from services.workflow.domain.language.input_schema import compile_schema
from services.workflow.domain.language.schema_work import SchemaInvalid, schema_work

SCHEMA = {
    "type": "object",
    "required": ["customer"],
    "additionalProperties": False,
    "properties": {
        "customer": {
            "type": "object",
            "properties": {"emails": {"type": "array", "items": {"type": "string", "format": "email"}}},
        },
        "code": {"pattern": "^[A-Z]{2}$"},
    },
}
TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["value"],
        }
    },
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, [("", "required")]),
        ({"customer": 1}, [("customer", "type")]),
        ({"customer": {"emails": ["a@example.org", "no"]}}, [("customer.emails[1]", "format")]),
        ({"customer": {}, "x": 1}, [("", "additionalProperties")]),
        ({"customer": [], "code": "abc"}, [("code", "pattern"), ("customer", "type")]),
        ([], [("", "type")]),
        ({"customer": float("inf")}, [("customer", "number_out_of_range")]),
        ({"customer": "\x00"}, [("customer", "not_json")]),
    ],
)
def test_faults_have_paths(value: Any, expected: list[tuple[str, str]]) -> None:
    with pytest.raises(InputInvalid) as caught:
        compile_schema(SCHEMA)(value)
    assert caught.value.code == "input_invalid"
    assert sorted((found.path, found.code) for found in caught.value.faults) == expected


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (SCHEMA, {"customer": {"emails": ["a@example.org"]}, "code": "AB"}),
        (SCHEMA, {"customer": {}}),
        ({}, None),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "type": "integer"}, 1),
    ],
)
def test_accepts_what_fits(schema: dict[str, Any], value: Any) -> None:
    assert compile_schema(schema)(value) is None


def test_recursive_schemas_work() -> None:
    validate = compile_schema(TREE)
    node: dict[str, Any] = {"value": 1}
    for _ in range(20):
        node = {"value": 1, "children": [node, {"value": 2}]}
    validate(node)
    with pytest.raises(InputInvalid) as caught:
        validate({"value": 1, "children": [{"value": 2}, {"children": []}]})
    assert caught.value.faults[0].path == "children[1]"


def doubling(levels: int, keyword: str = "anyOf") -> dict[str, Any]:
    defs: dict[str, Any] = {f"d{level}": {keyword: [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{levels}": {"type": "string"}}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strin"},
        {"properties": []},
        {"pattern": "("},
        {"pattern": "(?=a)b"},
        {"pattern": r"(a)\1"},
        {"pattern": "a{1000}{1000}"},
        {"$ref": "http://example.org/schema"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "other"},
        {"$ref": "#anchor"},
        {"$ref": "#/nowhere"},
        {"$ref": "#/allOf/7", "allOf": [{}]},
        {"$ref": 1},
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"$dynamicRef": "#x"},
        {"properties": {"a": {"$id": "http://example.org/x"}}},
        {"$schema": "http://json-schema.org/draft-04/schema#"},
        {"$schema": "http://example.org/dialect"},
        {"description": "x" * limits.MAX_SCHEMA_BYTES},
        doubling(30),
        doubling(30, "allOf"),
        doubling(30, "oneOf"),
    ],
)
def test_refuses_schemas(schema: dict[str, Any]) -> None:
    began = time.perf_counter()
    with pytest.raises(SchemaInvalid):
        compile_schema(schema)
    assert time.perf_counter() - began < 1


def test_refuses_deep_schemas() -> None:
    schema: dict[str, Any] = {}
    for _ in range(limits.MAX_SCHEMA_NESTING + 1):
        schema = {"properties": {"a": schema}}
    with pytest.raises(SchemaInvalid):
        compile_schema(schema)


def test_work_follows_references() -> None:
    assert (schema_work({}).subschemas, schema_work({}).loops) == (1, 0)
    # The root, then per level twice as many of: the definition and each of its two references.
    assert schema_work(doubling(3)).subschemas == 1 + 1 + 2 * (2 + 4 + 8)
    assert schema_work(TREE).loops == 1


def test_deep_inputs_are_refused_before_native_code_sees_them() -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"children": [deep], "value": 1}
    with pytest.raises(InputInvalid) as caught:
        compile_schema(TREE)(deep)
    assert caught.value.faults[0].code == "nesting_too_deep"


class TestTime:
    def test_a_schema_that_repeats_itself_at_each_level(self) -> None:
        again = {"properties": {"a": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}, "required": ["a"]}
        validate = compile_schema(again)
        deep: Any = {}
        for _ in range(60):
            deep = {"a": deep}
        began = time.perf_counter()
        with pytest.raises(InputInvalid) as caught:
            validate(deep)
        assert caught.value.faults[0].code == "too_large"
        assert time.perf_counter() - began < 1

    def test_large_inputs_with_a_fault_in_every_item(self) -> None:
        validate = compile_schema({"items": {"anyOf": [{"type": "string", "minLength": n} for n in range(500)]}})
        began = time.perf_counter()
        with pytest.raises(InputInvalid) as caught:
            validate([1] * 100_000)
        assert len(caught.value.faults) == 1
        assert time.perf_counter() - began < 10

    def test_small_inputs_are_explained_in_full(self) -> None:
        with pytest.raises(InputInvalid) as caught:
            compile_schema({"items": {"type": "string"}})([1] * 500)
        assert len(caught.value.faults) == limits.MAX_REPORTED_FAULTS

    def test_patterns_take_linear_time(self) -> None:
        validate = compile_schema({"pattern": "(a|aa)+b"})
        began = time.perf_counter()
        with pytest.raises(InputInvalid):
            validate("a" * 100_000 + "!")
        assert time.perf_counter() - began < 2
