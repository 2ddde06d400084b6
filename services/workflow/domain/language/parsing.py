"""From what a caller sent to a definition that could run, or to the list of everything that is wrong with it."""

import re
from itertools import islice
from typing import Any

import msgspec

from services.workflow.domain.language.bounds import json_fault
from services.workflow.domain.language.decoding import Decoder
from services.workflow.domain.language.definition import Definition
from services.workflow.domain.language.errors import DefinitionInvalid, fault
from services.workflow.domain.language.filters import json_type
from services.workflow.domain.language.validation import Validator
from services.workflow.limits import MAX_DEFINITION_BYTES, MAX_DEFINITION_DEPTH, MAX_REPORTED_FAULTS
from shared.errors import FieldFault

_WHERE = re.compile(r" - at `.*`\Z")
_BYTE = re.compile(r" \(byte (\d+)\)")


def parse_definition(raw: bytes | dict[str, Any]) -> Definition:
    """Return the definition in `raw` (JSON, or what JSON or YAML was decoded to).

    Raises `DefinitionInvalid` with all faults of structure and meaning, ordered by path as far as reading got.
    """
    value = _decoded(raw) if isinstance(raw, bytes) else raw
    if wrong := json_fault(value, max_depth=MAX_DEFINITION_DEPTH, max_size=MAX_DEFINITION_BYTES):
        raise DefinitionInvalid([wrong])
    if not isinstance(value, dict):
        raise DefinitionInvalid([fault("", f"expected an object, got {json_type(value)}", "wrong_type")])
    decoder = Decoder()
    definition = decoder.definition(value)
    faults = decoder.faults
    if len(faults) < MAX_REPORTED_FAULTS:
        validator = Validator(definition, decoder.names_in_broken)
        meant = (found for found in validator.faults() if not _within(found.path, decoder.broken))
        faults.extend(islice(meant, MAX_REPORTED_FAULTS))
    if faults:
        raise DefinitionInvalid(faults)
    return definition


def _decoded(raw: bytes) -> Any:
    if len(raw) > MAX_DEFINITION_BYTES:
        raise DefinitionInvalid([fault("", f"larger than {MAX_DEFINITION_BYTES:,} bytes", "too_large")])
    try:
        return msgspec.json.decode(raw)
    except RecursionError:
        wrong = fault("", f"nested deeper than {MAX_DEFINITION_DEPTH} levels", "nesting_too_deep")
    except (msgspec.DecodeError, ValueError) as error:  # ValueError: bytes that are no UTF-8
        wrong = _malformed(str(error), raw)
    raise DefinitionInvalid([wrong])


def _malformed(message: str, raw: bytes) -> FieldFault:
    byte = _BYTE.search(message)
    position = len(raw[: int(byte.group(1))].decode(errors="replace")) if byte else None
    return fault("", _WHERE.sub("", _BYTE.sub("", message)), "not_json", position)


def _within(path: str, broken: list[str]) -> bool:
    """Return whether `path` is at or below one that could not be read: what is said of it there is about filler."""
    return any(path == outer or (path.startswith(outer) and path[len(outer)] in ".[") for outer in broken)
