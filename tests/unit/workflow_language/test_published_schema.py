"""The published JSON Schema of the language: current, and of one mind with the parser."""

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from services.workflow.domain.language.published_schema import SCHEMA_FILE, definition_schema, definition_schema_text
from services.workflow.domain.language.steps import STEP_TYPES

ROOT = Path(__file__).resolve().parents[3]


def test_the_file_is_current() -> None:
    command = "python -m services.workflow.domain.language.published_schema"
    assert (ROOT / SCHEMA_FILE).read_text() == definition_schema_text(), f"write it anew: {command} > {SCHEMA_FILE}"


def test_every_step_type_is_in_it() -> None:
    tags = {
        held["properties"]["type"]["enum"][0]
        for held in definition_schema()["$defs"].values()
        if "type" in held.get("properties", ())
    }
    assert set(STEP_TYPES) <= tags


@pytest.mark.parametrize(
    ("definition", "valid"),
    [
        ({"name": "x", "steps": [{"type": "transform", "name": "a"}]}, True),
        (
            {
                "name": "x",
                "steps": [
                    {
                        "type": "conditional",
                        "name": "c",
                        "condition": "$.input.x",
                        "if_true": {"type": "delay", "name": "d", "seconds": 1},
                        "if_false": [{"type": "http", "name": "h", "url": "https://example.org"}],
                    }
                ],
                "triggers": [{"type": "manual"}],
            },
            True,
        ),
        ({"name": "x", "steps": [{"type": "foreach", "name": "e", "items": "{input}", "as": "x", "steps": []}]}, True),
        ({"name": "x", "steps": [{"type": "transform", "name": "a", "on_error": [{"type": "fly"}]}]}, False),
        ({"name": "x", "steps": []}, False),
        ({"name": "x", "steps": [{"type": "fly", "name": "a"}]}, False),
        ({"name": "x", "steps": [{"type": "transform", "name": "1"}]}, False),
        ({"name": "x", "steps": [{"type": "transform", "name": "a", "speed": 1}]}, False),
        ({"name": "x", "steps": [{"type": "parallel", "name": "a", "steps": [], "wait_for": "some"}]}, False),
    ],
)
def test_it_says_what_the_parser_says(definition: dict[str, Any], valid: bool) -> None:
    assert jsonschema_rs.validator_for(definition_schema(), offline=True).is_valid(definition) is valid
