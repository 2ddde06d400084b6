"""What a definition may not be: one table row per rule, and all faults of a bad one in a single answer."""

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.workflow import limits
from services.workflow.domain.language.definition import Definition
from services.workflow.domain.language.errors import DefinitionInvalid
from services.workflow.domain.language.parsing import parse_definition
from services.workflow.domain.language.steps import STEP_TYPES

Faults = list[tuple[str, str]]


def transform(name: str, value: Any = None, **fields: Any) -> dict[str, Any]:
    return {"type": "transform", "name": name, "input": value, **fields}


def definition(*steps: Any, **fields: Any) -> dict[str, Any]:
    return {"name": "A workflow", "steps": list(steps) or [transform("only")], **fields}


def faults_of(raw: Any) -> Faults:
    with pytest.raises(DefinitionInvalid) as caught:
        parse_definition(raw)
    assert caught.value.code == "definition_invalid"
    return [(found.path, found.code) for found in caught.value.faults]


TOOL = {"type": "mcp_tool", "name": "tool", "server_id": "calculator", "tool_name": "add"}
HTTP = {"type": "http", "name": "call", "url": "https://example.org/{input.id}"}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        # as a tool
        (definition(expose_as_tool="yes"), [("expose_as_tool", "wrong_type")]),
        (definition(expose_as_tool={"nam": "x"}), [("expose_as_tool", "unknown_field")]),
        (definition(expose_as_tool={"name": "x" * 65}), [("expose_as_tool.name", "out_of_range")]),
        (definition(expose_as_tool={"name": "a b"}), [("expose_as_tool.name", "bad_name")]),
        (definition(expose_as_tool={"name": "workflow_cancel"}), [("expose_as_tool.name", "reserved_name")]),
        (definition(name="x" * 65, expose_as_tool=True), [("expose_as_tool", "bad_name")]),
        (definition(input_schema={"type": "array"}, expose_as_tool=True), [("input_schema.type", "bad_schema")]),
        (
            definition(expose_as_tool={"output_schema": {"type": "nothing"}}),
            [("expose_as_tool.output_schema", "bad_schema")],
        ),
        # the definition itself
        (definition(name=""), [("name", "out_of_range")]),
        (definition(name="x" * 256), [("name", "out_of_range")]),
        (definition(name=1), [("name", "wrong_type")]),
        ({"steps": [transform("a")]}, [("name", "missing_field")]),
        ({"name": "x"}, [("steps", "missing_field")]),
        ({"name": "x", "steps": []}, [("steps", "no_steps")]),
        ({"name": "x", "steps": {}}, [("steps", "wrong_type")]),
        ({"name": "x", "steps": [1]}, [("steps[0]", "wrong_type")]),
        (definition(version="1.0"), [("version", "bad_version")]),
        (definition(slug="Not A Slug"), [("slug", "bad_slug")]),
        (definition(tags=["ok", ""]), [("tags[1]", "out_of_range")]),
        (definition(timeout_seconds=0), [("timeout_seconds", "out_of_range")]),
        (definition(timeout_seconds="10"), [("timeout_seconds", "wrong_type")]),
        (definition(max_retries=-1), [("max_retries", "out_of_range")]),
        (definition(max_retries=101), [("max_retries", "out_of_range")]),
        (definition(retry_strategy="random"), [("retry_strategy", "out_of_range")]),
        (definition(colour="red"), [("colour", "unknown_field")]),
        (definition(output="{nope.x}"), [("output", "reference_unknown")]),
        (definition(output="{secret.X}"), [("output", "secret_not_allowed")]),
        (definition(input_schema={"type": "strin"}), [("input_schema", "bad_schema")]),
        (definition(input_schema=[]), [("input_schema", "wrong_type")]),
        # every step
        (definition({"name": "a"}), [("steps[0]", "unknown_step_type")]),
        (definition({"type": "fly", "name": "a"}), [("steps[0]", "unknown_step_type")]),
        (definition({"type": ["http"], "name": "a"}), [("steps[0]", "unknown_step_type")]),
        (definition({"type": "transform"}), [("steps[0].name", "missing_field")]),
        (definition(transform("1a")), [("steps[0].name", "bad_name")]),
        (definition(transform("a-b")), [("steps[0].name", "bad_name")]),
        (definition(transform("input")), [("steps[0].name", "reserved_name")]),
        (definition(transform("secret")), [("steps[0].name", "reserved_name")]),
        (definition(transform("x" * 65)), [("steps[0].name", "out_of_range")]),
        (definition(transform("a"), transform("a")), [("steps[1].name", "duplicate_name")]),
        (definition(transform("a", when="$.input.x =")), [("steps[0].when", "condition_invalid")]),
        (definition(transform("a", when="$.b.x")), [("steps[0].when", "reference_unknown")]),
        (definition(transform("a", when="$.secret.x")), [("steps[0].when", "reference_unknown")]),
        (definition(transform("a", priority=11)), [("steps[0].priority", "out_of_range")]),
        (definition(transform("a", on_error="ignore")), [("steps[0].on_error", "out_of_range")]),
        (definition(transform("a", timeout_seconds=-1)), [("steps[0].timeout_seconds", "out_of_range")]),
        (definition(transform("a", output_mapping={"x": "y"})), [("steps[0].output_mapping.x", "mapping_invalid")]),
        (definition(transform("a", output_mapping={"x": 1})), [("steps[0].output_mapping", "wrong_type")]),
        (definition(transform("a", retry={"max_attempts": 0})), [("steps[0].retry.max_attempts", "out_of_range")]),
        (definition(transform("a", retry={"tries": 1})), [("steps[0].retry", "unknown_field")]),
        (definition(transform("a", retry={"backoff": "fast"})), [("steps[0].retry.backoff", "out_of_range")]),
        (definition(transform("a", retry={"jitter": 2})), [("steps[0].retry.jitter", "out_of_range")]),
        (
            definition({**TOOL, "max_retries": 1, "retry": {"max_attempts": 2}}),
            [("steps[0].retry.max_attempts", "bad_retry")],
        ),
        (
            definition({**TOOL, "retry": {"initial_interval_ms": 2, "max_interval_ms": 1}}),
            [("steps[0].retry.max_interval_ms", "bad_retry")],
        ),
        (definition(transform("a", max_retries=1)), [("steps[0].max_retries", "no_retry")]),
        (definition(transform("a", retry={"max_attempts": 2})), [("steps[0].retry", "no_retry")]),
        # templates and references
        (definition(transform("a", {"b": ["{input.}"]})), [("steps[0].input.b[0]", "template_invalid")]),
        (definition(transform("a", "{a.x}")), [("steps[0].input", "reference_not_before")]),
        (definition(transform("a", "{b.x}"), transform("b")), [("steps[0].input", "reference_not_before")]),
        (definition(transform("a", "{event.x}")), [("steps[0].input", "reference_unknown")]),
        (definition(transform("a", "{b.x | default(1)}")), [("steps[0].input", "reference_unknown")]),
        (definition(transform("a", "{secret.X}")), [("steps[0].input", "secret_not_allowed")]),
        # mcp_tool
        (definition({"type": "mcp_tool", "name": "a", "tool_name": "t"}), [("steps[0].server_id", "missing_field")]),
        (definition({**TOOL, "input": [1]}), [("steps[0].input", "wrong_type")]),
        (definition({**TOOL, "server_id": "{secret.X}"}), [("steps[0].server_id", "secret_not_allowed")]),
        (definition({**TOOL, "tool_name": "{nope}"}), [("steps[0].tool_name", "reference_unknown")]),
        # http
        (definition({"type": "http", "name": "a"}), [("steps[0].url", "missing_field")]),
        (definition({**HTTP, "method": "get"}), [("steps[0].method", "out_of_range")]),
        (definition({**HTTP, "headers": {"a": 1}}), [("steps[0].headers", "wrong_type")]),
        (definition({**HTTP, "body": {"x": "{nope.y}"}}), [("steps[0].body.x", "reference_unknown")]),
        (definition({**HTTP, "input": "{secret.X}"}), [("steps[0].input", "secret_not_allowed")]),
        (definition({**HTTP, "ok_statuses": []}), [("steps[0].ok_statuses", "bad_statuses")]),
        (definition({**HTTP, "ok_statuses": [99]}), [("steps[0].ok_statuses", "bad_statuses")]),
        (definition({**HTTP, "ok_statuses": ["299-200"]}), [("steps[0].ok_statuses", "bad_statuses")]),
        # conditional
        (
            definition({"type": "conditional", "name": "c", "condition": "$.input.x"}),
            [("steps[0].if_true", "no_steps")],
        ),
        (
            definition({"type": "conditional", "name": "c", "condition": "$.input.x", "if_true": []}),
            [("steps[0].if_true", "no_steps")],
        ),
        (
            definition({"type": "conditional", "name": "c", "condition": "$.a", "if_true": transform("a")}),
            [("steps[0].condition", "reference_not_before")],
        ),
        (
            definition({"type": "conditional", "name": "c", "condition": "$.input.x", "if_true": "a"}),
            [("steps[0].if_true", "wrong_type")],
        ),
        (
            definition({"type": "conditional", "name": "c", "condition": "$.input", "if_true": transform("a", "{c}")}),
            [("steps[0].if_true.input", "reference_not_before")],
        ),
        (
            definition(
                {
                    "type": "conditional",
                    "name": "c",
                    "condition": "$.input.x",
                    "if_true": [transform("a"), transform("b", "{a}")],
                    "if_false": transform("d", "{a}"),
                },
                transform("e", "{a | default(1)} {d | default(2)} {c.result}"),
            ),
            [("steps[0].if_false.input", "reference_not_before")],
        ),
        # parallel
        (definition({"type": "parallel", "name": "p", "steps": []}), [("steps[0].steps", "no_steps")]),
        (definition({"type": "parallel", "name": "p", "steps": transform("a")}), [("steps[0].steps", "wrong_type")]),
        *(
            (
                definition({"type": "parallel", "name": "p", "steps": [transform("a")], "wait_for": wait_for}),
                [("steps[0].wait_for", "bad_wait_for")],
            )
            for wait_for in (
                "some",
                "count",
                "count:",
                "count:0",
                "count:2",
                "count:-1",
                "count:1x",
                "count:" + "9" * 5000,
            )
        ),
        (
            definition({"type": "parallel", "name": "p", "steps": [transform("a"), transform("b", "{a}")]}),
            [("steps[0].steps[1].input", "reference_not_before")],
        ),
        # delay
        (definition({"type": "delay", "name": "d"}), [("steps[0].seconds", "bad_delay")]),
        (definition({"type": "delay", "name": "d", "seconds": 1, "until": "x"}), [("steps[0].seconds", "bad_delay")]),
        (definition({"type": "delay", "name": "d", "seconds": -1}), [("steps[0].seconds", "bad_delay")]),
        (definition({"type": "delay", "name": "d", "seconds": 1e12}), [("steps[0].seconds", "bad_delay")]),
        (definition({"type": "delay", "name": "d", "seconds": "5"}), [("steps[0].seconds", "bad_delay")]),
        (definition({"type": "delay", "name": "d", "seconds": True}), [("steps[0].seconds", "wrong_type")]),
        (definition({"type": "delay", "name": "d", "until": "2026-01-01T00:00:00"}), [("steps[0].until", "bad_delay")]),
        (definition({"type": "delay", "name": "d", "until": "tomorrow"}), [("steps[0].until", "bad_delay")]),
        # triggers
        (definition(triggers=[{"type": "cron"}]), [("triggers[0]", "unknown_trigger_type")]),
        (definition(triggers={}), [("triggers", "wrong_type")]),
        (definition(triggers=[{"type": "manual", "x": 1}]), [("triggers[0].x", "unknown_field")]),
        (definition(triggers=[{"type": "event"}]), [("triggers[0].subject", "missing_field")]),
        *(
            (definition(triggers=[{"type": "event", "subject": subject}]), [("triggers[0].subject", "bad_subject")])
            for subject in ("a..b", ".a", "a.", "a b", "a.>.b", "a*.b", "a.b>", "\t")
        ),
        (
            definition(triggers=[{"type": "event", "subject": "a", "condition": "$.only.x", "input": "{input.x}"}]),
            [("triggers[0].condition", "reference_unknown"), ("triggers[0].input", "reference_unknown")],
        ),
        # what is no JSON at all
        (b"", [("", "not_json")]),
        (b"{", [("", "not_json")]),
        (b"\xff\xfe", [("", "not_json")]),
        (b'{"name": 1e999}', [("", "not_json")]),
        (b'{"name": ' + b"9" * 5000 + b"}", [("", "not_json")]),
        (b"[]", [("", "wrong_type")]),
        (b"null", [("", "wrong_type")]),
        (definition(name="a\x00"), [("name", "not_json")]),
        (definition(name="\ud800"), [("name", "not_json")]),
        (definition(transform("a", float("nan"))), [("steps[0].input", "number_out_of_range")]),
        (definition(transform("a", 2**64)), [("steps[0].input", "number_out_of_range")]),
        (definition(transform("a", {1: 2})), [("steps[0].input", "not_json")]),
        (definition(transform("a", {"x": object()})), [("steps[0].input.x", "not_json")]),
    ],
)
def test_refuses(raw: Any, expected: Faults) -> None:
    assert faults_of(raw) == expected


ACCEPTED: list[dict[str, Any]] = [
    definition(),
    definition(TOOL, HTTP, output={"sum": "{tool.result}", "status": "{call.status}"}),
    definition({**TOOL, "input": {"key": "{secret.X}"}}, {**HTTP, "headers": {"a": "Bearer {secret.Y}"}}),
    definition({**TOOL, "input": "{input.arguments}"}),
    definition(
        {"type": "conditional", "name": "c", "condition": "$.input.x > 1", "if_true": transform("a")},
        transform("b", ["{a | default(null)}", "{c.branch_taken}", "{execution.id}", "{tenant.id}"], when="$.a"),
    ),
    definition(
        {
            "type": "parallel",
            "name": "p",
            "wait_for": "count:2",
            "steps": [transform("a"), transform("b"), transform("d")],
        },
        transform("e", "{p.step_0} {a} {b}"),
    ),
    definition({"type": "delay", "name": "d", "seconds": 0.5}, {"type": "delay", "name": "e", "until": "{input.at}"}),
    definition({"type": "delay", "name": "d", "until": "2026-01-31T09:00:00Z"}),
    definition(
        triggers=[
            {"type": "manual"},
            {
                "type": "event",
                "subject": "events.*.rag.>",
                "condition": "$.event.data.n > 1",
                "input": {"n": "{event.data.n}"},
            },
            {"type": "event", "subject": ">"},
        ]
    ),
    definition(
        slug="a-workflow",
        description="d",
        tags=["a", "b"],
        category="examples",
        version="1.2.3-rc.1+b5",
        input_schema={"type": "object"},
        timeout_seconds=60,
        max_retries=0,
        retry_strategy="linear",
        retry={"jitter": 0, "retry_on": ["http_status"], "never_on": ["timeout"]},
    ),
    definition(expose_as_tool=True),
    definition(expose_as_tool={"name": "a-b_C1", "description": "x", "output_schema": {}, "read_only": True}),
    definition(input_schema={"type": ["null", "object"]}, expose_as_tool=True),
    definition(input_schema={"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}}, expose_as_tool=True),
]


@pytest.mark.parametrize("raw", ACCEPTED)
def test_accepts_and_encodes_to_what_was_written(raw: dict[str, Any]) -> None:
    parsed = parse_definition(raw)
    assert isinstance(parsed, Definition)
    again = json.loads(msgspec.json.encode(parsed))
    assert parse_definition(again) == parsed == parse_definition(json.dumps(raw).encode())
    assert again["steps"][0]["name"] == raw["steps"][0]["name"]


def test_all_faults_come_in_one_answer() -> None:
    raw = definition(
        transform("a", "{later.x}"),
        {"type": "teleport", "name": "each", "steps": [{"name": "inner"}]},
        transform("b", "{inner.x}{each.y}", when="$.a =="),
        transform("c", speed=1),
        transform("a"),
        transform("later", ["{a.x}", "{input.}", "{typo}"], timout_seconds=1, priority=0),
        version="one",
        triggers=[{"type": "cron"}],
        input_schema={"type": 1},
    )
    assert sorted(faults_of(raw)) == sorted(
        [
            ("steps[0].input", "reference_not_before"),
            ("steps[1]", "unknown_step_type"),
            ("steps[2].when", "condition_invalid"),
            ("steps[3].speed", "unknown_field"),
            ("steps[4].name", "duplicate_name"),
            ("steps[5].input[1]", "template_invalid"),
            ("steps[5].input[2]", "reference_unknown"),
            ("steps[5].priority", "out_of_range"),
            ("steps[5].timout_seconds", "unknown_field"),
            ("version", "bad_version"),
            ("triggers[0]", "unknown_trigger_type"),
            ("input_schema", "bad_schema"),
        ]
    )


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (definition({"type": "fly", "name": "a"}), ["'fly'", "mcp_tool", "http", "conditional", "parallel", "delay"]),
        (definition(transform("a", timout_seconds=1)), ["did you mean 'timeout_seconds'"]),
        (definition(transform("alpha"), transform("b", "{alhpa.x}")), ["did you mean 'alpha'"]),
        (definition(transform("a", "{b.x}"), transform("b")), ["b.x", "comes later"]),
    ],
)
def test_messages_help(raw: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(DefinitionInvalid) as caught:
        parse_definition(raw)
    assert all(word in caught.value.faults[0].message for word in words)


def test_positions_are_inside_the_expression() -> None:
    with pytest.raises(DefinitionInvalid) as caught:
        parse_definition(definition(transform("a", "ab {nope.x}", when="$.input.a = 1")))
    assert {found.path: found.position for found in caught.value.faults} == {"steps[0].input": 3, "steps[0].when": 10}


def nested(levels: int) -> dict[str, Any]:
    step = transform("leaf")
    for level in range(levels - 1):
        step = {"type": "parallel", "name": f"level_{level}", "steps": [step]}
    return step


class TestBounds:
    def test_steps(self) -> None:
        parse_definition(definition(*(transform(f"s{index}") for index in range(limits.MAX_STEPS))))
        steps = [transform(f"s{index}") for index in range(limits.MAX_STEPS + 1)]
        assert faults_of(definition(*steps)) == [("steps", "too_many_steps")]

    def test_nesting(self) -> None:
        parse_definition(definition(nested(limits.MAX_STEP_NESTING)))
        ((path, code),) = faults_of(definition(nested(limits.MAX_STEP_NESTING + 1)))
        assert code == "nesting_too_deep"
        assert path.count("steps") == limits.MAX_STEP_NESTING + 1

    def test_the_size_of_bytes(self) -> None:
        assert faults_of(b" " * (limits.MAX_DEFINITION_BYTES + 1)) == [("", "too_large")]
        assert faults_of(b"x" * 2 * 1024 * 1024) == [("", "too_large")]

    def test_the_size_of_a_decoded_value(self) -> None:
        assert faults_of(definition(transform("a", "x" * limits.MAX_DEFINITION_BYTES))) == [("", "too_large")]
        assert faults_of(definition(transform("a", [[]] * limits.MAX_DEFINITION_BYTES))) == [("", "too_large")]

    @pytest.mark.parametrize("raw", [b"[" * 100_000, b'{"a":' * 100_000, b'{"steps":[' * 50_000])
    def test_depth_of_bytes(self, raw: bytes) -> None:
        assert faults_of(raw) == [("", "nesting_too_deep")]

    def test_depth_of_a_decoded_value(self) -> None:
        deep: Any = []
        for _ in range(100_000):
            deep = [deep]
        ((_path, code),) = faults_of(definition(transform("a", deep)))
        assert code == "nesting_too_deep"

    def test_faults_are_counted_and_cut(self) -> None:
        with pytest.raises(DefinitionInvalid) as caught:
            parse_definition(definition(**{f"field_{index}": 1 for index in range(5000)}))
        assert len(caught.value.faults) == limits.MAX_REPORTED_FAULTS
        assert "5000 faults" in str(caught.value)

    @pytest.mark.parametrize(
        "raw",
        [
            definition(*(transform(f"s{n}", ["{nope}"] * 110) for n in range(1000))),
            definition(transform("first"), *(transform(f"s{n}", ["{first.x}"] * 30) for n in range(999))),
            definition(*(transform(f"s{n}", when="&&".join(["$.input.a==1"] * 64)) for n in range(900))),
            definition(*(transform(f"s{n}", output_mapping={f"f{m}": "$" for m in range(100)}) for n in range(600))),
            definition(transform("a", ["{a.", "{a|x}"] * 45_000)),
            definition(**{f"k{n}": 1 for n in range(80_000)}),
        ],
        ids=["bad references", "references", "conditions", "mappings", "bad placeholders", "unknown fields"],
    )
    def test_a_hostile_definition_is_refused_in_time(self, raw: dict[str, Any]) -> None:
        began = time.perf_counter()
        assert faults_of(raw)
        assert time.perf_counter() - began < 5


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["{input.x}", "$.a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                sorted(
                    {field.encode_name for kind in STEP_TYPES.values() for field in msgspec.structs.fields(kind)}
                    | {"type"}
                )
            ),
            inner | st.sampled_from(sorted(STEP_TYPES)),
            max_size=6,
        )
    ),
    max_leaves=20,
)


@settings(deadline=None, max_examples=100)
@given(
    st.fixed_dictionaries({}, optional={"name": junk, "steps": junk | st.lists(junk), "triggers": junk, "output": junk})
)
def test_anything_is_a_definition_or_invalid(raw: dict[str, Any]) -> None:
    outcome: object = None
    try:
        outcome = parse_definition(raw)
    except DefinitionInvalid as error:
        outcome = error.faults
    assert isinstance(outcome, Definition) or outcome


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_definition_or_invalid(raw: bytes) -> None:
    with pytest.raises(DefinitionInvalid):
        parse_definition(raw)
