"""The JSON Schema of the language itself, for editors and for clients that check before they send."""

import sys
from inspect import cleandoc
from typing import Any

import msgspec

from services.workflow.domain.language.definition import Definition

SCHEMA_FILE = "schemas/workflow-definition.schema.json"


def definition_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) of a workflow definition; `SCHEMA_FILE` holds it."""
    schema = msgspec.json.schema(Definition)
    for held in schema["$defs"].values():
        # Python 3.13 takes the indentation out of docstrings, earlier ones do not.
        held["description"] = cleandoc(held["description"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Workflow definition",
        **schema,
    }


def definition_schema_text() -> str:
    """Return the schema as `SCHEMA_FILE` holds it: indented, keys in a fixed order."""
    return msgspec.json.format(msgspec.json.encode(definition_schema(), order="sorted"), indent=2).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(definition_schema_text())
