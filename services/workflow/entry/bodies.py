"""Request bodies."""

from typing import Any, TypeVar

import msgspec
from litestar import Request

from services.workflow.domain.language.bounds import json_fault
from services.workflow.limits import MAX_DEFINITION_BYTES, MAX_DEFINITION_DEPTH
from shared.errors import FieldFault, InvalidInput, TooLarge

T = TypeVar("T")
_AROUND = 4096  # what a body has beside the value that is bounded


async def whole_body(request: Request[Any, Any, Any], kind: type[T], most: int) -> T:
    """Return the body as a struct. Raises `InvalidInput` with the path of the fault, or `TooLarge` above the bound."""
    raw = await request.body()
    if len(raw) > most + _AROUND:
        message = f"The body is larger than {most:,} bytes."
        raise TooLarge(message, faults=[FieldFault("", message, "too_large")])
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at ")
        where = path.strip("`").removeprefix("$.").removeprefix("$")
        raise InvalidInput(text + ".", faults=[FieldFault(where, text)]) from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"The body is no JSON: {error}.") from error


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
