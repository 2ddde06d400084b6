"""The compiled form: who follows whom, what a node carries, and what each type hands to its worker."""

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from services.workflow import limits
from services.workflow.domain.language.errors import InputInvalid
from services.workflow.domain.language.parsing import parse_definition
from services.workflow.domain.language.program import Program, compile_program, walk
from services.workflow.domain.language.steps import ParallelStep


def program(*steps: dict[str, Any], **fields: Any) -> Program:
    return compile_program(parse_definition({"name": "A workflow", "steps": list(steps), **fields}))


def transform(name: str, value: Any = None, **fields: Any) -> dict[str, Any]:
    return {"type": "transform", "name": name, "input": value, **fields}


NESTED = program(
    transform("first"),
    {
        "type": "conditional",
        "name": "choice",
        "condition": "$.first.ok == true",
        "if_true": [transform("yes_1"), transform("yes_2")],
        "if_false": {
            "type": "parallel",
            "name": "both",
            "wait_for": "any",
            "steps": [transform("left"), transform("right")],
        },
    },
    transform("last", "{first}"),
)


def test_nodes_by_name_with_their_places() -> None:
    assert {name: (node.path, node.branch) for name, node in NESTED.nodes.items()} == {
        "first": ("first", None),
        "choice": ("choice", None),
        "yes_1": ("choice/yes_1", "if_true"),
        "yes_2": ("choice/yes_2", "if_true"),
        "both": ("choice/both", "if_false"),
        "left": ("choice/both/left", "steps"),
        "right": ("choice/both/right", "steps"),
        "last": ("last", None),
    }
    assert [node.name for node in walk(NESTED.top)] == list(NESTED.nodes)


def test_links() -> None:
    nodes = NESTED.nodes
    assert NESTED.first is nodes["first"]
    follows = {name: node.next.name for name, node in nodes.items() if node.next is not None}
    assert follows == {"first": "choice", "choice": "last", "yes_1": "yes_2"}
    assert nodes["left"].parent is nodes["both"]
    assert nodes["both"].parent is nodes["choice"]
    assert nodes["choice"].parent is None
    assert dict(nodes["choice"].children) == {
        "if_true": (nodes["yes_1"], nodes["yes_2"]),
        "if_false": (nodes["both"],),
    }
    assert dict(nodes["both"].children) == {"steps": (nodes["left"], nodes["right"])}
    assert dict(nodes["last"].children) == {}


def test_nodes_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        NESTED.first.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        NESTED.nodes["new"] = NESTED.first  # type: ignore[index]


def test_expressions_are_compiled() -> None:
    choice, last = NESTED.nodes["choice"], NESTED.nodes["last"]
    assert choice.condition is not None
    assert choice.condition.evaluate({"first": {"ok": True}})
    assert not choice.condition.evaluate({"first": {"ok": 1}})
    assert last.input.render({"first": [1]}) == [1]
    assert last.condition is None
    assert last.when is None
    assert last.mapping is None
    node = program(transform("a", when="$.input.x", output_mapping={"y": "$.z"})).first
    assert node.when is not None
    assert node.when.evaluate({"input": {"x": None}})
    assert node.mapping is not None
    assert node.mapping.apply({"z": 1}) == {"y": 1}


def test_the_payload_of_a_tool() -> None:
    node = program(
        {
            "type": "mcp_tool",
            "name": "sum",
            "server_id": "{input.server}",
            "tool_name": "add",
            "input": {"a": "{input.a}", "key": "{secret.K}"},
        }
    ).first
    assert node.payload is not None
    context = {"input": {"server": "calculator", "a": 1}}
    assert node.payload.render(context) == {
        "server_id": "calculator",
        "tool_name": "add",
        "arguments": {"a": 1, "key": "{secret.K}"},
    }
    assert node.payload.secret_paths == (("arguments", "key"),)
    assert node.input.render(context) == {"a": 1, "key": "{secret.K}"}


def test_the_payload_of_a_request() -> None:
    node = program(
        {
            "type": "http",
            "name": "call",
            "method": "POST",
            "url": "https://example.org/{input.id}",
            "headers": {"authorization": "Bearer {secret.K}"},
            "query": {"page": "{input.page}"},
            "body": {"x": "{input.id}"},
            "ok_statuses": [200, "300-304"],
            "timeout_seconds": 5,
        }
    ).first
    assert node.payload is not None
    assert node.payload.render({"input": {"id": 7, "page": 2}}) == {
        "method": "POST",
        "url": "https://example.org/7",
        "headers": {"authorization": "Bearer {secret.K}"},
        "query": {"page": 2},
        "body": {"x": 7},
        "ok_statuses": [[200, 200], [300, 304]],
        "timeout_seconds": 5.0,
    }
    assert node.timeout_seconds == 5.0


def test_the_defaults_of_a_request() -> None:
    node = program({"type": "http", "name": "call", "url": "https://example.org"}).first
    assert node.payload is not None
    assert node.payload.is_static
    assert node.payload.render({}) == {
        "method": "GET",
        "url": "https://example.org",
        "headers": {},
        "query": {},
        "body": None,
        "ok_statuses": [[200, 399]],
        "timeout_seconds": limits.DEFAULT_TASK_TIMEOUT_SECONDS,
    }


def test_the_payload_of_a_delay() -> None:
    by_time = program({"type": "delay", "name": "d", "until": "{input.at}"}).first
    by_length = program({"type": "delay", "name": "d", "seconds": 5}).first
    assert by_time.payload is not None
    assert by_length.payload is not None
    assert by_time.payload.render({"input": {"at": "2026-01-01T00:00:00Z"}}) == {"until": "2026-01-01T00:00:00Z"}
    assert by_length.payload.render({}) == {"seconds": 5}


@pytest.mark.parametrize(("wait_for", "quorum"), [("all", 3), ("any", 1), ("count:2", 2), ("count:3", 3)])
def test_the_quorum_of_a_parallel(wait_for: str, quorum: int) -> None:
    steps = [transform("a"), transform("b"), transform("c")]
    step = program({"type": "parallel", "name": "p", "steps": steps, "wait_for": wait_for}).first.step
    assert isinstance(step, ParallelStep)
    assert step.quorum() == quorum


TOOL = {"type": "mcp_tool", "name": "tool", "server_id": "s", "tool_name": "t"}


@pytest.mark.parametrize(
    ("fields", "step", "attempts"),
    [
        ({}, TOOL, limits.DEFAULT_MAX_RETRIES + 1),
        ({"max_retries": 0}, TOOL, 1),
        ({"max_retries": 5}, TOOL, 6),
        ({"max_retries": 5}, {**TOOL, "max_retries": 1}, 2),
        ({"retry": {"max_attempts": 7}}, TOOL, 7),
        ({"max_retries": 5}, {**TOOL, "retry": {"max_attempts": 9}}, 9),
        ({"max_retries": 5}, {**TOOL, "retry": {"jitter": 0}}, 6),
        ({"max_retries": 5}, transform("a"), 1),
    ],
)
def test_effective_attempts(fields: dict[str, Any], step: dict[str, Any], attempts: int) -> None:
    assert program(step, **fields).first.retry.max_attempts == attempts


def test_effective_retry_settings_are_layered() -> None:
    node = program(
        {**TOOL, "retry": {"initial_interval_ms": 10, "never_on": ["tool_error"]}},
        retry_strategy="linear",
        retry={"initial_interval_ms": 500, "max_interval_ms": 1000, "jitter": 0},
    ).first
    assert [node.retry.delay_ms(attempt) for attempt in (1, 2, 3)] == [10, 20, 30]
    assert node.retry.max_interval_ms == 1000
    assert node.retry.never_on == frozenset({"tool_error"})


def test_timeouts() -> None:
    assert program(TOOL).first.timeout_seconds == limits.DEFAULT_TASK_TIMEOUT_SECONDS
    assert program({**TOOL, "timeout_seconds": 2}).first.timeout_seconds == 2
    assert program(transform("a")).first.timeout_seconds is None
    assert program(transform("a")).timeout_seconds == limits.DEFAULT_EXECUTION_TIMEOUT_SECONDS
    assert program(transform("a"), timeout_seconds=9).timeout_seconds == 9


def test_output() -> None:
    assert program(transform("a")).output is None
    output = program(transform("a"), output={"r": "{a.x}"}).output
    assert output is not None
    assert output.render({"a": {"x": [1]}}) == {"r": [1]}


def test_input_is_validated_against_the_schema() -> None:
    compiled = program(transform("a"), input_schema={"type": "object", "required": ["n"]})
    compiled.validate_input({"n": 1})
    with pytest.raises(InputInvalid):
        compiled.validate_input({})
    program(transform("a")).validate_input("anything")
