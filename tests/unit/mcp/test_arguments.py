"""Arguments against input schemas, which come from servers that are not trusted."""

import time
from typing import Any

import msgspec
import pytest

from services.mcp_gateway.adapters.mcp.arguments import ArgumentValidator
from services.mcp_gateway.domain.bounds import check_size, too_deep
from services.mcp_gateway.errors import ArgumentsInvalid, ToolSchemaInvalid
from shared.limits import JSON_MAX_DEPTH

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 5},
        "items": {"type": "array", "items": {"type": "object", "properties": {"size": {"type": "integer"}}}},
    },
    "required": ["name"],
    "additionalProperties": False,
}


def test_good_arguments_pass() -> None:
    ArgumentValidator().check("h", SCHEMA, {"name": "abc", "items": [{"size": 3}]})


def test_every_fault_says_where() -> None:
    with pytest.raises(ArgumentsInvalid) as invalid:
        ArgumentValidator().check("h", SCHEMA, {"name": "abcdef", "items": [{"size": 1}, {"size": "2"}], "x": 1})
    assert {(fault.path, fault.code) for fault in invalid.value.faults} == {
        ("name", "maxLength"),
        ("items[1].size", "type"),
        ("", "additionalProperties"),
    }
    assert invalid.value.code == "arguments_invalid"


def test_faults_are_bounded() -> None:
    arguments = {"name": "a", "items": [{"size": "x" * 10_000} for _ in range(1_000)]}
    with pytest.raises(ArgumentsInvalid) as invalid:
        ArgumentValidator().check("h", SCHEMA, arguments)
    assert len(invalid.value.faults) == 20
    assert all(len(fault.message) <= 300 for fault in invalid.value.faults)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "no-such-type"},
        {"type": "object", "properties": {"a": {"$ref": "https://evil.example/schema.json"}}},
        {"$ref": "file:///etc/passwd"},
        {"properties": {"a": {"$ref": "#/$defs/none"}}},
        {"type": "string", "pattern": "("},
        {"type": "object", "description": "x" * 300_000},
        {"type": "object", "properties": {"a": {"pattern": "(((a{100}){100}){100}){100}"}}},
    ],
)
def test_schemas_of_no_use(schema: dict[str, Any]) -> None:
    with pytest.raises(ToolSchemaInvalid):
        ArgumentValidator().check("h", schema, {"a": "x"})


def test_patterns_take_linear_time() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}
    started = time.process_time()
    with pytest.raises(ArgumentsInvalid):
        ArgumentValidator().check("h", schema, {"a": "a" * 50_000 + "!"})
    assert time.process_time() - started < 0.5


def test_deep_arguments_are_an_error_and_no_crash() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ArgumentsInvalid):
        ArgumentValidator().check("h", SCHEMA, {"name": "a", "items": deep})
    while isinstance(deep, list):  # taking it apart by hand, since freeing it recursively is as deep
        deep = deep.pop()


def test_schemas_are_compiled_once_and_forgotten_when_unused() -> None:
    validator = ArgumentValidator(capacity=2)
    validator.check("a", SCHEMA, {"name": "x"})
    validator.check("b", SCHEMA, {"name": "x"})
    first = validator._compiled["a"]
    validator.check("a", SCHEMA, {"name": "x"})
    validator.check("c", SCHEMA, {"name": "x"})
    assert list(validator._compiled) == ["a", "c"]
    assert validator._compiled["a"] is first


def test_sizes_are_bounded() -> None:
    assert check_size({"a": "x"}) == 9
    with pytest.raises(ArgumentsInvalid):
        check_size({"a": "x" * 1_100_000})


def nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def test_depth_is_bounded_and_breadth_is_not() -> None:
    check_size({"a": nested(JSON_MAX_DEPTH - 1)})
    for depth in (JSON_MAX_DEPTH, 200, 2_000):
        with pytest.raises(ArgumentsInvalid, match="nested"):
            check_size({"a": nested(depth)})
    wide = {"a": [[] for _ in range(1_000)]}
    assert not too_deep(wide, msgspec.json.encode(wide))
    assert check_size({"a": "[" * 1_000}) == 1_008
