"""The JSON Schema of the language itself, for editors and for clients that check before they send."""

import sys
from inspect import cleandoc
from typing import Any

import msgspec

from services.workflow.domain.language.definition import Definition
from services.workflow.domain.language.steps import Step

SCHEMA_FILE = "schemas/workflow-definition.schema.json"


def definition_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) of a workflow definition; `SCHEMA_FILE` holds it."""
    schema = msgspec.json.schema(Definition)
    step = msgspec.json.schema(Step)
    del step["$defs"]
    schema = _naming_steps(schema, step)
    schema["$defs"]["Step"] = step
    for name, held in schema["$defs"].items():
        if name == "Step":
            continue
        # Python 3.13 takes the indentation out of docstrings, earlier ones do not.
        held["description"] = cleandoc(held["description"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Workflow definition",
        **schema,
    }


def _naming_steps(value: Any, step: dict[str, Any]) -> Any:
    """Return the schema with a reference wherever the union of all steps was written out."""
    if isinstance(value, list):
        return [_naming_steps(item, step) for item in value]
    if not isinstance(value, dict):
        return value
    options = value.get("anyOf")
    if isinstance(options, list) and value.get("discriminator") == step["discriminator"]:
        others = [option for option in options if option not in step["anyOf"]]
        named = {"$ref": "#/$defs/Step"}
        value = {name: held for name, held in value.items() if name not in {"anyOf", "discriminator"}}
        return {**value, "anyOf": [*_naming_steps(others, step), named]} if others else {**value, **named}
    return {name: _naming_steps(held, step) for name, held in value.items()}


def definition_schema_text() -> str:
    """Return the schema as `SCHEMA_FILE` holds it: indented, keys in a fixed order."""
    return msgspec.json.format(msgspec.json.encode(definition_schema(), order="sorted"), indent=2).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(definition_schema_text())
