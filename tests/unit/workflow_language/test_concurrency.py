"""Concurrency keys: what a definition may say, and which key the data of a start gives."""

from typing import Any
from uuid import UUID

import pytest

from services.workflow.domain.language.errors import ConcurrencyKeyInvalid, DefinitionInvalid
from services.workflow.domain.language.parsing import parse_definition
from services.workflow.domain.language.program import compile_program
from services.workflow.domain.scope import opening_scope

EXECUTION, TENANT = UUID(int=1), UUID(int=2)


def definition(concurrency: Any) -> dict[str, Any]:
    return {"name": "A workflow", "steps": [{"type": "transform", "name": "only"}], "concurrency": concurrency}


def key(template: str, input_: Any = None) -> str:
    rule = compile_program(parse_definition(definition({"key": template, "limit": 1}))).concurrency
    assert rule is not None
    return rule.key_for(opening_scope(EXECUTION, TENANT, input_, {"env": "prod"}))


def test_without_it_there_is_no_rule() -> None:
    raw = definition(None)
    assert compile_program(parse_definition(raw)).concurrency is None
    del raw["concurrency"]
    assert compile_program(parse_definition(raw)).concurrency is None


@pytest.mark.parametrize("when_full", ["queue", "reject", "cancel_oldest"])
def test_the_three_policies(when_full: str) -> None:
    raw = {"key": "{input.id}", "limit": 10_000, "when_full": when_full}
    rule = compile_program(parse_definition(definition(raw))).concurrency
    assert rule is not None
    assert (rule.limit, rule.when_full) == (10_000, when_full)


def test_to_wait_is_the_default() -> None:
    rule = compile_program(parse_definition(definition({"key": "all", "limit": 2}))).concurrency
    assert rule is not None
    assert rule.when_full == "queue"


@pytest.mark.parametrize(
    ("concurrency", "path", "code"),
    [
        ("all", "concurrency", "wrong_type"),
        ({"limit": 1}, "concurrency", "missing_field"),
        ({"key": "all"}, "concurrency", "missing_field"),
        ({"key": "", "limit": 1}, "concurrency.key", "out_of_range"),
        ({"key": {"a": 1}, "limit": 1}, "concurrency.key", "wrong_type"),
        ({"key": "all", "limit": 0}, "concurrency.limit", "out_of_range"),
        ({"key": "all", "limit": 10_001}, "concurrency.limit", "out_of_range"),
        ({"key": "all", "limit": 1.5}, "concurrency.limit", "wrong_type"),
        ({"key": "all", "limit": 1, "when_full": "wait"}, "concurrency.when_full", "out_of_range"),
        ({"key": "all", "limit": 1, "group": "x"}, "concurrency", "unknown_field"),
        ({"key": "{only.x}", "limit": 1}, "concurrency.key", "reference_unknown"),
        ({"key": "{event.x}", "limit": 1}, "concurrency.key", "reference_unknown"),
        ({"key": "{input.x", "limit": 1}, "concurrency.key", "template_invalid"),
        ({"key": "{input.x | shout}", "limit": 1}, "concurrency.key", "template_invalid"),
        ({"key": "{secret.KEY}", "limit": 1}, "concurrency.key", "secret_not_allowed"),
    ],
)
def test_what_is_refused(concurrency: Any, path: str, code: str) -> None:
    with pytest.raises(DefinitionInvalid) as caught:
        parse_definition(definition(concurrency))
    assert [(fault.path, fault.code) for fault in caught.value.faults] == [(path, code)]


@pytest.mark.parametrize(
    ("template", "input_", "expected"),
    [
        ("all", None, "all"),
        ("{input.customer}", {"customer": "c1"}, "c1"),
        ("{input.customer}", {"customer": 17}, "17"),
        ("{input.customer}", {"customer": True}, "true"),
        ("{input.a}", {"a": {"b": [1, 2]}}, '{"b":[1,2]}'),
        ("{input.a}/{input.b}", {"a": 1, "b": "x"}, "1/x"),
        ("{input.a | default('none')}", {}, "none"),
        ("{tenant.id}-{execution.context.env}", None, f"{TENANT}-prod"),
        ("{execution.id}", None, str(EXECUTION)),
        ("{input.k}", {"k": "{input.other}"}, "{input.other}"),
    ],
)
def test_the_key_that_the_data_gives(template: str, input_: Any, expected: str) -> None:
    assert key(template, input_) == expected


@pytest.mark.parametrize(
    ("template", "input_"),
    [
        ("{input.customer}", {}),
        ("{input.customer}", None),
        ("{input.customer | upper}", {"customer": 1}),
        ("{input.customer}", {"customer": ""}),
        ("{input.customer}", {"customer": "x" * 256}),
        ("{input.customer}", {"customer": "a\0b"}),
        ("{input.customer}", {"customer": "\ud800"}),
    ],
)
def test_data_that_gives_no_key(template: str, input_: Any) -> None:
    with pytest.raises(ConcurrencyKeyInvalid) as caught:
        key(template, input_)
    assert caught.value.code == "concurrency_key_invalid"
    assert caught.value.faults[0].path == "concurrency.key"
