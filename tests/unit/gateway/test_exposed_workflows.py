"""A workflow as a tool: what clients are shown, and what a call of it says."""

import datetime as dt
from typing import Any
from uuid import uuid4

import jsonschema_rs
import msgspec
import pytest

from services.mcp_gateway.domain.call import tool_said
from services.mcp_gateway.domain.executions import Standing, WaitsFor, said_of_result, said_of_status
from services.mcp_gateway.domain.exposed import ExposedWorkflow, arguments_schema, exposed_of, result_schema
from services.workflow.app.standing import Standing as TheirStanding
from services.workflow.app.standing import WaitsFor as TheirWaitsFor
from services.workflow.domain.language.definition import Definition
from services.workflow.domain.language.parsing import parse_definition
from services.workflow.domain.step_error import StepError

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
ID = uuid4()


def written(**fields: Any) -> dict[str, Any]:
    """Return a definition as the workflow service's events carry it."""
    definition: Definition = parse_definition(
        {"name": "Do it", "steps": [{"type": "transform", "name": "a", "input": 1}], **fields}
    )
    return msgspec.json.decode(msgspec.json.encode(definition), type=dict[str, Any])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"expose_as_tool": False}, None),
        ({"expose_as_tool": True}, ExposedWorkflow(ID, "do-it", "Do it", "Runs the workflow 'Do it'.")),
        (
            {"expose_as_tool": True, "description": "Does.", "input_schema": {"type": "object"}},
            ExposedWorkflow(ID, "do-it", "Do it", "Does.", {"type": "object"}),
        ),
        (
            {"description": "No.", "expose_as_tool": {"name": "go", "description": "Does.", "read_only": True}},
            ExposedWorkflow(ID, "go", "Do it", "Does.", read_only=True),
        ),
        ({"expose_as_tool": {}}, ExposedWorkflow(ID, "do-it", "Do it", "Runs the workflow 'Do it'.")),
    ],
)
def test_a_definition_says_whether_it_is_a_tool(fields: dict[str, Any], expected: ExposedWorkflow | None) -> None:
    assert exposed_of(ID, "do-it", written(**fields)) == expected


@pytest.mark.parametrize("definition", [{}, {"name": 1}, {"name": "x", "expose_as_tool": {"name": 1}}])
def test_what_is_no_definition_is_refused(definition: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        exposed_of(ID, "x", definition)


def shown(**fields: Any) -> ExposedWorkflow:
    return ExposedWorkflow(ID, "x", "X", **fields)


@pytest.mark.parametrize("schema", [{}, {"type": ["object", "null"]}, {"required": ["a"]}, {"type": "object"}])
def test_arguments_are_an_object_by_their_own_words(schema: dict[str, Any]) -> None:
    assert arguments_schema(shown(input_schema=schema)) == {**schema, "type": "object"}


DEFINED = {"$ref": "#/$defs/sum", "$defs": {"sum": {"type": "object", "required": ["sum"]}}}


@pytest.mark.parametrize(
    ("schema", "fits", "does_not"),
    [
        ({"type": "object", "required": ["sum"]}, {"sum": 1}, {}),
        (DEFINED, {"sum": 1}, {}),
        ({"type": "array"}, {"result": []}, {"result": 1}),
        ({"type": "array", "items": {"$ref": "#/definitions/n"}, "definitions": {"n": {"type": "number"}}},
         {"result": [1]}, {"result": ["one"]}),
    ],
)  # fmt: skip
def test_a_result_is_the_output_or_how_to_go_on(schema: dict[str, Any], fits: Any, does_not: Any) -> None:
    published = result_schema(shown(output_schema=schema))
    assert published is not None
    assert published["type"] == "object"
    validator = jsonschema_rs.validator_for(published)
    assert validator.is_valid(fits)
    assert not validator.is_valid(does_not)
    for status in ("pending", "running", "waiting", "paused"):
        standing = Standing(ID, status, 1, NOW, waits_for=[WaitsFor("approval", "May it?", "boss", NOW)])
        assert validator.is_valid(said_of_result(ID, standing).structured)
    assert validator.is_valid(said_of_result(ID, None).structured)


@pytest.mark.parametrize("schema", [None, {"$ref": "#"}, {"properties": {"a": {"$ref": "#/properties/b"}}}])
def test_a_schema_that_cannot_be_moved_is_not_published(schema: dict[str, Any] | None) -> None:
    assert result_schema(shown(output_schema=schema)) is None


@pytest.mark.parametrize("output", [{"a": 1}, {}, [1], "text", None, 0])
def test_an_output_is_an_object(output: Any) -> None:
    said = said_of_result(ID, Standing(ID, "completed", 9, NOW, output=output))
    assert said.structured == (output if isinstance(output, dict) else {"result": output})
    assert msgspec.json.decode(said.text) == said.structured
    assert not said.is_error


def test_a_failure_is_told_with_its_code_and_by_whom() -> None:
    error = {"code": "http_status", "message": "It was a 500.", "step": "fetch", "details": {"status": 500}}
    said = said_of_result(ID, Standing(ID, "failed", 9, NOW, error=error))
    failure = tool_said([{"type": "text", "text": said.text}], said.structured)
    assert (said.is_error, failure.code, failure.message, failure.retryable) == (
        True,
        "tool_error",
        "It was a 500.",
        False,
    )
    assert failure.details == {**error, "execution_id": str(ID)}


def test_what_the_workflow_service_tells_is_understood() -> None:
    theirs = TheirStanding(
        ID, uuid4(), 2, "failed", 7, NOW, NOW, 1, 3, [TheirWaitsFor("approval", "May it?", "boss", NOW)], {"x": 1},
        StepError("tool_error", "It broke.", "a/b", 2),
    )  # fmt: skip
    ours = msgspec.json.decode(msgspec.json.encode(theirs), type=Standing)
    for name in ("execution_id", "workflow_id", "status", "version", "completed_at", "steps_done", "output"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.waits_for == [WaitsFor("approval", "May it?", "boss", NOW)]
    assert ours.error == {"code": "tool_error", "message": "It broke.", "step": "a/b", "attempt": 2}
    told = said_of_status(ours).structured
    assert (told["steps_done"], told["steps_total"], told["error"]["code"]) == (1, 3, "tool_error")
