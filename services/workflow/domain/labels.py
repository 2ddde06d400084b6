"""What an execution is found by: attributes, given at its start or rendered by its definition, and tags."""

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import msgspec

from services.workflow.domain.language.errors import TemplateUnresolved, fault
from services.workflow.domain.language.fields import IDENTIFIER
from services.workflow.domain.language.filters import json_type
from services.workflow.domain.language.paths import join_path
from services.workflow.domain.language.templates import Template
from services.workflow.limits import (
    MAX_ATTRIBUTE_CHARS,
    MAX_ATTRIBUTE_NAME_CHARS,
    MAX_ATTRIBUTES,
    MAX_EXECUTION_TAGS,
    MAX_TAG_CHARS,
)
from shared.errors import FieldFault, PlatformError

TAG = "#"
"""The name under which a tag is found: no attribute can have it."""

_IDENTIFIER = re.compile(IDENTIFIER)
_EXACT_FLOAT = 2.0**53
_LEAST, _MOST = -(2**63), 2**64 - 1


class AttributesInvalid(PlatformError):
    """Attributes or tags are too many, too long or of a type that nothing is found by."""

    code = "attributes_invalid"

    def __init__(self, faults: Sequence[FieldFault]) -> None:
        super().__init__(f"The execution cannot be labelled: {faults[0].message}.", faults=list(faults))


def labels_of(
    search: Mapping[str, Template], given: Mapping[str, Any], tags: Sequence[Any], scope: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the attributes of an execution that starts: those given, before those that its definition renders.

    A template that finds nothing, or null, makes no attribute. Raises `AttributesInvalid`.
    """
    found: dict[str, Any] = {}
    for name, template in search.items():
        try:
            value = template.render(scope)
        except TemplateUnresolved:
            continue
        except PlatformError as error:
            at = join_path("search_attributes", name)
            raise AttributesInvalid([fault(at, f"{name!r} cannot be rendered: {error.message}", error.code)]) from error
        if value is not None:
            found[name] = value
    found.update(given)
    _check(found, tags)
    return found


def searchable(value: str | float) -> str:
    """Return the text by which an attribute of this value is found: 5, 5.0 and "5" by the same."""
    if isinstance(value, str):
        return value
    if not isinstance(value, int) and value.is_integer() and abs(value) < _EXACT_FLOAT:
        value = int(value)
    return msgspec.json.encode(value).decode()


def searchable_labels(attributes: Mapping[str, Any], tags: Sequence[str]) -> list[tuple[str, str]]:
    """Return the names and texts by which an execution with these labels is found, each once."""
    return [
        *((name, searchable(value)) for name, value in attributes.items()),
        *((TAG, tag) for tag in dict.fromkeys(tags)),
    ]


def _check(attributes: Mapping[str, Any], tags: Sequence[Any]) -> None:
    faults = []
    if len(attributes) > MAX_ATTRIBUTES:
        faults.append(fault("attributes", f"an execution has at most {MAX_ATTRIBUTES} attributes", "too_many"))
    if len(tags) > MAX_EXECUTION_TAGS:
        faults.append(fault("tags", f"an execution has at most {MAX_EXECUTION_TAGS} tags", "too_many"))
    for name, value in attributes.items():
        if (said := _fault_of(name, value)) is not None:
            faults.append(fault(join_path("attributes", name), said[0], said[1]))
    for place, tag in enumerate(tags):
        if not isinstance(tag, str) or not 0 < len(tag) <= MAX_TAG_CHARS or not _is_text(tag):
            said = f"a tag is a text of 1 to {MAX_TAG_CHARS} characters", "bad_tag"
            faults.append(fault(f"tags[{place}]", *said))
    if faults:
        raise AttributesInvalid(faults)


def _fault_of(name: str, value: Any) -> tuple[str, str] | None:
    if len(name) > MAX_ATTRIBUTE_NAME_CHARS or not _IDENTIFIER.fullmatch(name):
        return f"an attribute's name is an identifier of at most {MAX_ATTRIBUTE_NAME_CHARS} characters", "bad_name"
    if isinstance(value, str):
        if len(value) > MAX_ATTRIBUTE_CHARS:
            return f"the text of {name!r} has more than {MAX_ATTRIBUTE_CHARS} characters", "too_large"
        return None if _is_text(value) else (f"the text of {name!r} is no text that is kept", "not_json")
    if isinstance(value, int):
        return None if _LEAST <= value <= _MOST else (f"{name!r} has more than 64 bits", "number_out_of_range")
    if isinstance(value, float):
        return None if isfinite(value) else (f"{name!r} is no finite number", "number_out_of_range")
    return f"the attribute {name!r} is {json_type(value)}: a text, a number or a boolean is expected", "wrong_type"


def _is_text(text: str) -> bool:
    """Return whether Postgres can keep it."""
    if "\x00" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
