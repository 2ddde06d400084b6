"""Output mappings: one value for a path of names and indexes, a list for any other query, an error for nothing."""

from typing import Any

import pytest

from services.workflow.domain.language.errors import DefinitionInvalid, ExpressionTooCostly, MappingUnresolved
from services.workflow.domain.language.mapping import compile_mapping

RESULT = {"rows": [{"id": 1, "ok": True}, {"id": 2, "ok": False}], "total": None, "text": "t"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", RESULT),
        ("$.rows[0].id", 1),
        ("$.rows[-1]['id']", 2),
        ("$.total", None),
        ("$.rows[*].id", [1, 2]),
        ("$..id", [1, 2]),
        ("$.rows[?@.ok == true].id", [1]),
        ("$.rows[?@.ok == $.rows[1].ok].id", [2]),
        ("$.rows[?@.id > 9]", []),
        ("$.nope[*]", []),
        ("$.rows[0:1].id", [1]),
        ("$.rows[::-1].id", [2, 1]),
        ("$.rows[-1:].id", [2]),
        ("$.rows[5:9]", []),
        ("$.rows[::0]", []),
        ("$.text[0:1]", []),
    ],
)
def test_maps(path: str, expected: Any) -> None:
    assert compile_mapping({"field": path}).apply(RESULT) == {"field": expected}


@pytest.mark.parametrize("path", ["$.nope", "$.rows[2]", "$.rows.id", "$.text.length", "$.text[0]", "$.total.x"])
def test_nothing_at_a_path_is_an_error(path: str) -> None:
    with pytest.raises(MappingUnresolved) as caught:
        compile_mapping({"fine": "$.text", "lost": path}).apply(RESULT)
    assert caught.value.details == {"field": "lost", "path": path}


def test_every_bad_path_is_a_fault() -> None:
    with pytest.raises(DefinitionInvalid) as caught:
        compile_mapping({"a": "rows", "b": "$.rows", "c": "$.rows[", "d e": "$[?@.x = 1]"}, "steps[0].output_mapping")
    assert [(found.path, found.code, found.position) for found in caught.value.faults] == [
        ("steps[0].output_mapping.a", "mapping_invalid", 0),
        ("steps[0].output_mapping.c", "mapping_invalid", 7),
        ("steps[0].output_mapping['d e']", "mapping_invalid", 7),
    ]


def test_work_is_bounded() -> None:
    with pytest.raises(ExpressionTooCostly):
        compile_mapping({"all": "$..*"}).apply([[1, 2, 3]] * 50_000)
