"""Attributes: those given before those rendered, and by which text each is found."""

from typing import Any
from uuid import uuid4

import pytest

from services.workflow.domain.labels import TAG, AttributesInvalid, labels_of, searchable, searchable_labels
from services.workflow.domain.language.templates import compile_template
from services.workflow.domain.scope import opening_scope

EXECUTION, TENANT = uuid4(), uuid4()


def labelled(search: dict[str, Any], given: dict[str, Any], input_: Any) -> dict[str, Any]:
    templates = {name: compile_template(value) for name, value in search.items()}
    return labels_of(templates, given, [], opening_scope(EXECUTION, TENANT, input_, {"user": "u1"}))


def test_what_a_template_does_not_find_is_no_attribute() -> None:
    search = {
        "a": "{input.a}",
        "b": "{input.b}",
        "c": "{input.c | default('none')}",
        "user": "{execution.context.user}",
    }
    assert labelled(search, {}, {"a": None}) == {"c": "none", "user": "u1"}


def test_what_is_given_goes_before_what_is_rendered() -> None:
    assert labelled({"a": "{input.a}", "id": "{execution.id}"}, {"a": 2}, {"a": 1}) == {"a": 2, "id": str(EXECUTION)}


def test_a_filter_that_fails_says_which_attribute() -> None:
    with pytest.raises(AttributesInvalid) as refused:
        labelled({"a": "{input.a | upper}"}, {}, {"a": [1]})
    assert refused.value.faults[0].path == "search_attributes.a"
    assert refused.value.faults[0].code == "template_filter_failed"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("c-1", "c-1"),
        (5, "5"),
        (5.0, "5"),
        ("5", "5"),
        (-0.5, "-0.5"),
        (1e300, "1e300"),
        (True, "true"),
        (2**63, str(2**63)),
    ],
)
def test_a_value_is_found_by_its_text(value: Any, text: str) -> None:
    assert searchable(value) == text


def test_a_tag_that_was_given_twice_is_found_once() -> None:
    assert searchable_labels({"a": 1}, ["x", "x"]) == [("a", "1"), (TAG, "x")]
