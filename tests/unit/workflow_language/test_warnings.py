"""What a definition that could run is warned about: one table row per surprise, and what is no surprise beside it."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.workflow import limits
from services.workflow.domain.language.certainty import Foregone
from services.workflow.domain.language.error_codes import ERROR_CODES
from services.workflow.domain.language.parsing import parse_definition
from services.workflow.domain.language.paths import join_path, split_path
from services.workflow.domain.language.warnings import warnings_of

ROOT = Path(__file__).parents[3]
Found = list[tuple[str, str]]


def give(name: str, value: Any = None, **fields: Any) -> dict[str, Any]:
    return {"type": "transform", "name": name, "input": value, **fields}


def http(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "http", "name": name, "url": "https://example.org", **fields}


def tool(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "mcp_tool", "name": name, "server_id": "calculator", "tool_name": "add", **fields}


def either(name: str, condition: str, if_true: Any, if_false: Any = (), **fields: Any) -> dict[str, Any]:
    held = {"if_true": if_true, "if_false": list(if_false) if isinstance(if_false, tuple) else if_false}
    return {"type": "conditional", "name": name, "condition": condition, **held, **fields}


def together(name: str, *steps: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "parallel", "name": name, "steps": list(steps), **fields}


def warned(*steps: Any, **fields: Any) -> Found:
    found = warnings_of(parse_definition({"name": "A workflow", "steps": list(steps), **fields}))
    assert all(one.message for one in found)
    return [(one.path, one.code) for one in found]


MISSING = "may_be_missing"
SKIPPED = tool("a", when="$.input.x > 1")
CHOICE = either("c", "$.input.x > 1", tool("a"), tool("b"))
LOOSE = tool("a", on_error="continue")
APPROVAL = {"type": "approval", "name": "boss", "title": "May this go on?"}
POST = {"type": "http", "name": "call", "url": "https://example.org/", "method": "POST"}


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        # conditions that no data changes
        ([give("a", when="1 == 1")], [("steps[0].when", "constant_condition")]),
        ([give("a", when="'x' == 'y' && $.input.z")], [("steps[0].when", "constant_condition")]),
        ([give("a", when="!(2 < 1) || $.input.z")], [("steps[0].when", "constant_condition")]),
        ([give("a", when="length('abc') > 2")], [("steps[0].when", "constant_condition")]),
        ([give("a", when="match('abc', 'a')")], [("steps[0].when", "constant_condition")]),
        ([give("a", when="$.input.x == 1 || 1 == 2")], []),
        ([either("c", "1 > 2", give("a"), give("b"))], [("steps[0].condition", "constant_condition")]),
        # results that may not be there
        ([SKIPPED, give("r", "{a.x}")], [("steps[1].input", MISSING)]),
        ([SKIPPED, give("r", {"deep": ["x", "{a.x}"]})], [("steps[1].input.deep[1]", MISSING)]),
        ([SKIPPED, give("r", "{a}")], [("steps[1].input", MISSING)]),
        ([SKIPPED, give("r", "{a.x | default(0)}")], []),
        ([SKIPPED, give("r", "{a.x | upper | default('')}")], [("steps[1].input", MISSING)]),
        ([SKIPPED, give("r", "{a.x}", when="$.input.x > 1")], []),
        ([SKIPPED, give("r", "{a.x}", when="$.a.x")], []),
        ([SKIPPED, give("r", "{a.x}", when="$.input.y && $.a.x > 3")], []),
        ([SKIPPED, give("r", "{a.x}", when="$.input.y || $.a.x > 3")], [("steps[1].input", MISSING)]),
        ([SKIPPED, give("r", "{a.x}", when="!$.a.x")], [("steps[1].input", MISSING)]),
        ([SKIPPED, give("r", "{a.x}", when="$.a.x != 3")], [("steps[1].input", MISSING)]),
        ([SKIPPED, either("c", "$.a.ok == true", give("r", "{a.x}"))], []),
        (
            [SKIPPED, either("c", "$.a.ok == true", give("q"), give("r", "{a.x}"))],
            [("steps[1].if_false.input", MISSING)],
        ),
        ([SKIPPED, either("c", "!$.a", give("q"), give("r", "{a.x}"))], []),
        ([SKIPPED, give("r", 1, when="$.a.x > 1")], []),
        ([tool("a", when="1 == 1"), give("r", "{a.x}")], [("steps[0].when", "constant_condition")]),
        ([CHOICE, give("r", "{a.x}{b.x}")], [("steps[1].input", MISSING), ("steps[1].input", MISSING)]),
        ([CHOICE, give("r", "{c.result}")], []),
        ([either("c", "$.input.x", [tool("a"), give("r", "{a.x}")])], []),
        ([either("c", "$.input.x", [tool("a"), either("d", "$.input.y", give("r", "{a.x}"))])], []),
        ([either("c", "1 == 1", tool("a")), give("r", "{a.x}")], [("steps[0].condition", "constant_condition")]),
        ([either("c", "$.input.x", tool("a"), when="$.input.y"), give("r", "{c}")], [("steps[1].input", MISSING)]),
        ([together("p", tool("a"), tool("b")), give("r", "{a.x}{p.b.x}{p.step_0.x}")], []),
        ([together("p", tool("a"), tool("b"), wait_for="count:2"), give("r", "{a.x}")], []),
        ([together("p", tool("a"), tool("b"), wait_for="any"), give("r", "{a.x}")], [("steps[1].input", MISSING)]),
        ([together("p", tool("a"), tool("b"), wait_for="any"), give("r", "{p.step_1}")], [("steps[1].input", MISSING)]),
        ([together("p", tool("a"), tool("b"), wait_for="any"), give("r", "{p.b}")], [("steps[1].input", MISSING)]),
        ([together("p", tool("a"), tool("b"), wait_for="any"), give("r", "{p.step_1.x | default(1)}")], []),
        ([together("p", SKIPPED, tool("b")), give("r", "{p.a.x}{p.b.x}")], [("steps[1].input", MISSING)]),
        ([together("p", LOOSE, tool("b")), give("r", "{p.a}")], [("steps[1].input", MISSING)]),
        ([together("p", tool("a"), on_error="continue"), give("r", "{a.x}")], [("steps[1].input", MISSING)]),
        ([LOOSE, give("r", "{a.x}")], [("steps[1].input", MISSING)]),
        ([LOOSE, give("r", "{a.error.code}")], [("steps[1].input", MISSING)]),
        ([LOOSE, give("r", "{a}")], []),
        ([LOOSE, give("r", "{a.x | default(1)}")], []),
        ([LOOSE, give("r", "{a.x}", when="!$.a.error")], []),
        ([LOOSE, either("c", "$.a.error", give("q", "{a.error.code}"), give("r", "{a.x}"))], []),
        # outputs whose fields are known
        ([http("a"), give("r", "{a.boddy.x}")], [("steps[1].input", "field_unknown")]),
        ([http("a"), give("r", "{a.boddy.x | default(1)}")], [("steps[1].input", "field_unknown")]),
        ([http("a"), give("r", "{a.body.x}")], []),
        ([http("a", output_mapping={"n": "$.body.n"}), give("r", "{a.body}")], [("steps[1].input", "field_unknown")]),
        ([give("a", {"n": 1}), give("r", "{a.n}{a.m}")], [("steps[1].input", "field_unknown")]),
        ([give("a", "{input.x}"), give("r", "{a.m}")], []),
        ([http("a", output_mapping={"n": "$.total"})], [("steps[0].output_mapping.n", "mapping_never_resolves")]),
        ([http("a", output_mapping={"n": "$..total", "m": "$.body.total", "o": "$[*]"})], []),
        # time
        ([tool("a", timeout_seconds=3601)], [("steps[0].timeout_seconds", "timeout_exceeds")]),
        ([tool("a", timeout_seconds=3600)], []),
        (
            [together("p", tool("a", timeout_seconds=20), timeout_seconds=10)],
            [("steps[0].steps[0].timeout_seconds", "timeout_exceeds")],
        ),
        ([{"type": "delay", "name": "d", "seconds": 3600}], [("steps[0].seconds", "timeout_exceeds")]),
        (
            [{"type": "delay", "name": "d", "seconds": 5, "timeout_seconds": 4}],
            [("steps[0].seconds", "timeout_exceeds")],
        ),
        ([{"type": "delay", "name": "d", "seconds": 5}], []),
        # retries
        ([tool("a", retry={"retry_on": ["tool_timeot"]})], [("steps[0].retry.retry_on[0]", "error_code_unknown")]),
        ([tool("a", retry={"retry_on": ["http_status"]})], [("steps[0].retry.retry_on[0]", "error_code_unknown")]),
        ([http("a", retry={"never_on": ["timeout"]})], [("steps[0].retry.never_on[0]", "error_code_unknown")]),
        (
            [http("a", retry={"retry_on": ["http_status"], "never_on": ["http_status", "http_failed"]})],
            [("steps[0].retry.retry_on", "retry_never")],
        ),
        ([http("a", retry={"retry_on": ["http_status", "worker_failed", "step_timeout"]})], []),
        ([tool("a", retry={"max_attempts": 1, "initial_interval_ms": 5})], [("steps[0].retry", "retry_never")]),
        ([tool("a", max_retries=0, retry={"backoff": "none"})], [("steps[0].retry", "retry_never")]),
        ([tool("a", retry={"max_attempts": 1})], []),
    ],
)  # fmt: skip
def test_what_is_warned_about(steps: list[Any], expected: Found) -> None:
    assert warned(*steps) == expected


def test_the_output_is_made_when_all_steps_are_over() -> None:
    assert warned(CHOICE, output={"x": "{a.x}"}) == [("output.x", MISSING)]
    assert warned(CHOICE, output={"x": "{a.x | default(1)}", "y": "{c.branch_taken}"}) == []


def test_a_trigger_whose_condition_decides_nothing() -> None:
    triggers = [{"type": "event", "subject": "a.b", "condition": "1 == 2"}]
    assert warned(give("a"), triggers=triggers) == [("triggers[0].condition", "constant_condition")]


def test_the_definitions_own_retry_may_name_the_codes_of_any_step() -> None:
    assert warned(tool("a"), retry={"retry_on": ["http_status", "tool_error"]}) == []
    assert warned(tool("a"), retry={"never_on": ["nope"]}) == [("retry.never_on[0]", "error_code_unknown")]


def test_a_warning_has_the_offset_of_the_placeholder() -> None:
    raw = {"name": "x", "steps": [SKIPPED, give("r", "of {a.x}")]}
    (found,) = warnings_of(parse_definition(raw))
    assert found.position == 3
    assert "default" in found.message


@pytest.mark.parametrize("file", sorted((ROOT / "infra" / "demo" / "workflows").glob("*.yaml")), ids=lambda f: f.stem)
def test_the_demo_surprises_nobody(file: Path) -> None:
    assert warnings_of(parse_definition(yaml.safe_load(file.read_text()))) == []


EXPOSED = {"expose_as_tool": True, "description": "Does it.", "input_schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("steps", "fields", "expected"),
    [
        ([give("a")], EXPOSED, []),
        ([give("a")], {**EXPOSED, "description": "", "expose_as_tool": {"description": "Does it."}}, []),
        ([give("a")], {**EXPOSED, "description": ""}, [("expose_as_tool", "tool_undescribed")]),
        ([give("a")], {"expose_as_tool": True}, [("expose_as_tool", "tool_undescribed")] * 2),
        ([give("a")], {"expose_as_tool": False}, []),
        ([give("a")], {**EXPOSED, "slug": "x" * 53}, []),
        ([give("a")], {**EXPOSED, "slug": "x" * 54}, [("expose_as_tool", "tool_name_long")]),
        ([give("a"), APPROVAL], EXPOSED, [("steps[1]", "tool_waits")]),
        ([APPROVAL], {}, []),
        ([POST], EXPOSED, []),
        ([POST], {**EXPOSED, "expose_as_tool": {"read_only": True}}, [("steps[0]", "tool_not_read_only")]),
        ([{**POST, "method": "GET"}], {**EXPOSED, "expose_as_tool": {"read_only": True}}, []),
    ],
)
def test_what_may_surprise_the_author_of_a_tool(steps: list[Any], fields: dict[str, Any], expected: Found) -> None:
    assert warned(*steps, **fields) == expected


def test_warnings_are_bounded() -> None:
    steps = [
        tool("a", when="$.input.x"),
        *(give(f"s{n}", ["{a.x}"] * 250, when=f"$.input.y == {n}") for n in range(75)),
    ]
    definition = parse_definition({"name": "x", "steps": steps})
    assert len(warnings_of(definition)) == limits.MAX_REPORTED_FAULTS


def test_the_codes_are_those_that_the_documentation_lists() -> None:
    text = (ROOT / "docs" / "workflow-language.md").read_text()
    table = text.split("## Codes of errors")[1].split("\n## ")[0]
    documented = {
        code: frozenset(re.findall(r"`([a-z_]+)`", cells[2])) or frozenset({cells[2].strip()})
        for cells in (line.split("|") for line in table.splitlines() if line.startswith("| `"))
        for code in re.findall(r"`([a-z_]+)`", cells[1])
    }
    assert dict(ERROR_CODES) == documented


@pytest.mark.parametrize("text", ["$.a == $.b", "$.a <= $.b", "$.a != 1", "count($.a) > 1", "!$.a", "!($.a < 1)"])
def test_a_condition_that_can_hold_without_a_name_proves_nothing_of_it(text: str) -> None:
    assert Foregone(text).exist_if_true == frozenset()


@pytest.mark.parametrize("parts", [("steps", 0, "a b", 3, "it's"), ('"', "\\", "x-y"), (0, "a"), ("a", "ü", "'\""), ()])
def test_a_path_is_taken_apart_again(parts: tuple[str | int, ...]) -> None:
    assert split_path(join_path("", *parts)) == parts


def test_what_is_no_path_is_refused() -> None:
    with pytest.raises(ValueError, match="no path"):
        split_path("a..b")
