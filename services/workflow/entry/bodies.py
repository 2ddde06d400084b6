"""Request bodies."""

from typing import Any

import msgspec

from services.workflow.domain.language.bounds import json_fault
from services.workflow.limits import MAX_DEFINITION_BYTES, MAX_DEFINITION_DEPTH
from shared.errors import InvalidInput, TooLarge


def json_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is. Raises `InvalidInput`, or `TooLarge` above 1 MiB."""
    if len(raw) > MAX_DEFINITION_BYTES:
        raise TooLarge(f"The body is larger than {MAX_DEFINITION_BYTES:,} bytes.")
    try:
        body = msgspec.json.decode(raw)
    except RecursionError as error:
        raise InvalidInput(f"The body is nested deeper than {MAX_DEFINITION_DEPTH} levels.") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise InvalidInput(f"The body is no JSON: {error}.") from error
    if not isinstance(body, dict):
        raise InvalidInput("The body must be a JSON object.")
    fault = json_fault(body, max_depth=MAX_DEFINITION_DEPTH, max_size=MAX_DEFINITION_BYTES)
    if fault is not None:
        raise InvalidInput(f"The body cannot be taken: {fault.message}.", faults=[fault])
    return body
