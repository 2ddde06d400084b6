"""Definitions as files: what is exported defines the same workflow again, and what changed between two is named."""

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.workflow import limits
from services.workflow.domain.language.definition import Definition
from services.workflow.domain.language.diff import DefinitionDiff, diff
from services.workflow.domain.language.errors import DefinitionInvalid
from services.workflow.domain.language.parsing import parse_definition
from services.workflow.domain.language.presentation import presented
from shared.yaml_json import dump_yaml, load_yaml

ROOT = Path(__file__).parents[3]
SLOWLY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def stored(definition: dict[str, Any]) -> dict[str, Any]:
    """Return a definition as the service keeps it."""
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(parse_definition(definition)))
    return decoded


def known_definitions() -> list[dict[str, Any]]:
    golden = (ROOT / "tests" / "contract" / "golden" / "workflow").glob("workflow.workflow-*.json")
    found = [json.loads(file.read_text()) for file in golden]
    demo = (ROOT / "infra" / "demo" / "workflows").glob("*.yaml")
    return [
        *(event["definition"] for event in found if "definition" in event),
        *(load_yaml(f.read_bytes()) for f in demo),
    ]


KNOWN = [stored(definition) for definition in known_definitions()]
NAMES = st.sampled_from(["a", "b_1", "Check", "step_0", "no", "on", "y"])
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="{}\x00"), max_size=12) | st.sampled_from(
    ["no", "012", "1e3", "2026-01-01", "~", "{input.x}", "a\n  b\n", "{input.x | default('no')}: # x"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    count = iter(range(1_000))

    def step(depth: int) -> dict[str, Any]:
        kind = draw(
            st.sampled_from(["transform", "http", "delay", *(["parallel", "conditional"] if depth < 3 else [])])
        )
        made: dict[str, Any] = {"name": f"{draw(NAMES)}_{next(count)}", "type": kind, "input": draw(VALUES)}
        if draw(st.booleans()):
            made |= {"when": "$.input.x > 1", "on_error": "continue", "priority": draw(st.integers(1, 10))}
        inner = draw(st.integers(1, 3))
        if kind == "http":
            made |= {"url": "https://example.org", "body": draw(VALUES), "ok_statuses": [200, "300-304"]}
        elif kind == "delay":
            made["seconds"] = 5
        elif kind == "parallel":
            made["steps"] = [step(depth + 1) for _ in range(inner)]
        elif kind == "conditional":
            made["if_true"] = [step(depth + 1) for _ in range(inner)]
            made |= {"condition": "$.input.y", "if_false": step(depth + 1)}
        order = draw(st.permutations(list(made)))
        return {name: made[name] for name in order}

    steps = [step(1) for _ in range(draw(st.integers(1, 3)))]
    head = {"steps": steps, "output": draw(VALUES), "name": draw(TEXT.filter(bool)), "tags": ["x", "no"]}
    return {name: head[name] for name in draw(st.permutations(list(head)))}


def exported(definition: dict[str, Any], form: str) -> Any:
    shown = presented(definition)
    return load_yaml(dump_yaml(shown).encode()) if form == "yaml" else json.loads(json.dumps(shown))


def read(definition: dict[str, Any]) -> Definition:
    return parse_definition(definition)


@pytest.mark.parametrize("form", ["yaml", "json"])
@pytest.mark.parametrize("index", range(len(KNOWN)))
def test_what_is_known_comes_back_as_it_was(index: int, form: str) -> None:
    assert msgspec.json.encode(read(exported(KNOWN[index], form))) == msgspec.json.encode(read(KNOWN[index]))


@SLOWLY
@given(definitions(), st.sampled_from(["yaml", "json"]))
def test_what_is_exported_comes_back_as_it_was(definition: dict[str, Any], form: str) -> None:
    kept = stored(definition)
    assert msgspec.json.encode(read(exported(kept, form))) == msgspec.json.encode(read(kept))


@SLOWLY
@given(definitions())
def test_what_is_exported_twice_is_the_same_text(definition: dict[str, Any]) -> None:
    text = dump_yaml(presented(stored(definition)))
    again = stored(load_yaml(text.encode()))
    assert dump_yaml(presented(again)) == text


def test_the_name_comes_first_and_what_steps_hold_last() -> None:
    inner = {"input": {}, "type": "transform", "name": "i"}
    definition = {
        "steps": [
            {"priority": 3, "if_true": [inner], "condition": "$.input.x", "name": "c", "type": "conditional",
             "when": "$.input.y"},
        ],
        "output": "{c.result}", "tags": ["t"], "timeout_seconds": 5, "name": "N", "description": "D",
    }  # fmt: skip
    shown = presented(definition)
    assert list(shown) == ["name", "description", "tags", "timeout_seconds", "steps", "output"]
    assert list(shown["steps"][0]) == ["type", "name", "when", "condition", "priority", "if_true"]
    assert list(shown["steps"][0]["if_true"][0]) == ["type", "name", "input"]
    assert list(definition) == ["steps", "output", "tags", "timeout_seconds", "name", "description"]


def test_what_today_cannot_read_is_exported_as_it_is_stored() -> None:
    definition = {"steps": [{"name": "a", "type": "of-tomorrow"}], "name": "x"}
    assert presented(definition) is definition


def give(name: str, value: Any = None, **fields: Any) -> dict[str, Any]:
    return {"type": "transform", "name": name, "input": value, **fields}


def flow(*steps: Any, **fields: Any) -> dict[str, Any]:
    return {"name": "W", "steps": list(steps), **fields}


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, list[str]]]:
    return [(one.kind, one.step, [field.path for field in one.fields]) for one in diff(before, after).steps]


CHOICE = {"type": "conditional", "name": "c", "condition": "$.input.x", "if_true": [give("a")], "if_false": give("b")}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (flow(give("a")), flow(give("a")), []),
        (flow(give("a")), flow(give("a"), give("b")), [("added", "b", [])]),
        (flow(give("a"), give("b")), flow(give("b")), [("removed", "a", [])]),
        (flow(give("a", 1)), flow(give("a", 2)), [("changed", "a", ["input"])]),
        (flow(give("a", 1)), flow(give("a", 1.0)), []),
        (flow(give("a", 1)), flow(give("a", True)), [("changed", "a", ["input"])]),
        (flow(give("a", {"x": {"y": 1, "z": [1, 2]}})), flow(give("a", {"x": {"y": 2, "z": [1, 3]}})),
         [("changed", "a", ["input.x.y", "input.x.z[1]"])]),
        (flow(give("a", [1])), flow(give("a", [1, 2])), [("changed", "a", ["input"])]),
        (flow(give("a", {"odd key": 1})), flow(give("a", {})), [("changed", "a", ["input['odd key']"])]),
        (flow(give("a")), flow(give("a", when="$.input.x")), [("changed", "a", ["when"])]),
        (flow(give("a", {})), flow({"type": "delay", "name": "a", "input": {}, "seconds": 1}),
         [("changed", "a", ["type", "seconds"])]),
        (flow(give("a"), give("b"), give("d")), flow(give("d"), give("a"), give("b")), [("moved", "d", [])]),
        (flow(give("a"), give("b")), flow(give("n"), give("a"), give("b")), [("added", "n", [])]),
        (flow(CHOICE), flow({**CHOICE, "if_false": [give("b")]}), []),
        (flow(give("a")), flow(give("a", on_error="fail", output_mapping={})), []),
        (flow(CHOICE), flow({**CHOICE, "if_true": [give("a"), give("b")], "if_false": []}),
         [("moved", "b", [])]),
        (flow(CHOICE), flow(give("a", 5), {**CHOICE, "if_true": [give("n")]}),
         [("moved", "a", []), ("changed", "a", ["input"]), ("added", "n", [])]),
        (flow(give("a"), give("b")), flow({"type": "parallel", "name": "p", "steps": [give("a"), give("b")]}),
         [("added", "p", []), ("moved", "a", []), ("moved", "b", [])]),
    ],
)  # fmt: skip
def test_what_changed_is_named(before: Any, after: Any, expected: Any) -> None:
    assert sorted(changes(before, after)) == sorted(expected)


def test_changes_of_the_definition_itself() -> None:
    found = diff(flow(give("a"), timeout_seconds=5, tags=["x"]), flow(give("a"), timeout_seconds=6, output="{a}"))
    assert [(one.path, one.kind, one.before, one.after) for one in found.definition] == [
        ("tags", "removed", ["x"], None),
        ("timeout_seconds", "changed", 5, 6),
        ("output", "added", None, "{a}"),
    ]
    assert found.steps == []
    assert diff(flow(give("a")), flow(give("a"), version="1.0.0", timeout_seconds=3600.0, tags=[])).definition == []


def test_changes_have_where_the_step_stands_on_both_sides() -> None:
    (moved,) = diff(flow(CHOICE), flow({**CHOICE, "if_true": [give("n")]}, give("a"))).steps[-1:]
    assert (moved.kind, moved.before_path, moved.after_path) == ("moved", "steps[0].if_true[0]", "steps[1]")


def test_a_diff_is_bounded() -> None:
    many = {str(number): number for number in range(limits.MAX_DIFF_CHANGES)}
    found = diff(flow(*(give(f"s{n}", {}) for n in range(3))), flow(*(give(f"s{n}", many) for n in range(3))))
    assert found.truncated
    assert sum(1 + len(step.fields) for step in found.steps) <= limits.MAX_DIFF_CHANGES
    assert not diff(flow(give("a", {})), flow(give("a", {"x": 1}))).truncated


def test_what_today_cannot_read_is_not_compared() -> None:
    with pytest.raises(DefinitionInvalid):
        diff(flow(give("a")), {"name": "x", "steps": [{"name": "a", "type": "of-tomorrow"}]})


@SLOWLY
@given(definitions())
def test_nothing_differs_from_itself(definition: dict[str, Any]) -> None:
    kept = stored(definition)
    assert diff(kept, copy.deepcopy(kept)) == DefinitionDiff([], [])


@SLOWLY
@given(definitions(), definitions())
def test_a_diff_says_something_unless_both_are_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    before, after = stored(one), stored(other)
    found = diff(before, after)
    gone = {step.step for step in found.steps if step.kind == "removed"}
    new = {step.step for step in found.steps if step.kind == "added"}
    back = diff(after, before)
    assert gone == {step.step for step in back.steps if step.kind == "added"}
    assert new == {step.step for step in back.steps if step.kind == "removed"}
    if not found.steps and not found.definition:
        assert msgspec.json.encode(read(before)) == msgspec.json.encode(read(after))
