"""Request bodies."""

from typing import Any, TypeVar

import msgspec
from litestar import Request

from services.workflow.domain.language.bounds import json_fault
from services.workflow.limits import MAX_DEFINITION_BYTES, MAX_DEFINITION_DEPTH
from shared.errors import FieldFault, InvalidInput, TooLarge
from shared.unique_keys import check_unique_keys
from shared.yaml_json import MEDIA_TYPES, load_yaml

T = TypeVar("T")
_AROUND = 4096  # what a body has beside the value that is bounded


async def whole_body(request: Request[Any, Any, Any], kind: type[T], most: int, large: str = "") -> T:
    """Return the body as a struct; `large` is the field that can make it too large.

    Raises `InvalidInput` with the path of the fault, or `TooLarge` above the bound.
    """
    raw = await request.body()
    if len(raw) > most + _AROUND:
        message = f"The body is larger than {most:,} bytes."
        raise TooLarge(message, faults=[FieldFault(large, message, "too_large")])
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
    _check_size(raw)
    try:
        body = msgspec.json.decode(raw)
    except RecursionError as error:
        raise InvalidInput(f"The body is nested deeper than {MAX_DEFINITION_DEPTH} levels.") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise InvalidInput(f"The body is no JSON: {error}.") from error
    return _object(body, "a JSON object")


async def definition_object(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Return the definition, or the fields of one, in a body of JSON or (by its `Content-Type`) YAML.

    A key that stands twice is refused: of a value that its author wrote, one would be lost. Raises as `json_object`.
    """
    raw = await request.body()
    if request.content_type[0] in MEDIA_TYPES:
        _check_size(raw)
        return _object(load_yaml(raw), "an object")
    body = json_object(raw)
    check_unique_keys(raw)
    return body


def _check_size(raw: bytes) -> None:
    if len(raw) > MAX_DEFINITION_BYTES:
        raise TooLarge(f"The body is larger than {MAX_DEFINITION_BYTES:,} bytes.")


def _object(body: Any, what: str) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise InvalidInput(f"The body must be {what}.")
    wrong = json_fault(body, max_depth=MAX_DEFINITION_DEPTH, max_size=MAX_DEFINITION_BYTES)
    if wrong is not None:
        raise InvalidInput(f"The body cannot be taken: {wrong.message}.", faults=[wrong])
    return body
