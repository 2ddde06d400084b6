"""How much JSON is passed on. What is nested too deeply can be read at one place and cannot be written at another."""

from typing import Any

import msgspec

from services.mcp_gateway.errors import ArgumentsTooLarge
from services.mcp_gateway.limits import ARGUMENTS_MAX_BYTES
from shared.limits import JSON_MAX_DEPTH


def check_size(arguments: dict[str, Any]) -> int:
    """Return the encoded size of the arguments in bytes. Raises `ArgumentsTooLarge` above the limits."""
    try:
        encoded = msgspec.json.encode(arguments)
    except RecursionError as error:
        raise _nested_too_deeply() from error
    if too_deep(arguments, encoded):
        raise _nested_too_deeply()
    size = len(encoded)
    if size > ARGUMENTS_MAX_BYTES:
        raise ArgumentsTooLarge(
            f"The arguments have {size} bytes; at most {ARGUMENTS_MAX_BYTES} are passed on.",
            details={"bytes": size, "limit": ARGUMENTS_MAX_BYTES},
        )
    return size


def too_deep(value: Any, encoded: bytes | msgspec.Raw) -> bool:
    """Whether a value is nested deeper than `JSON_MAX_DEPTH`. `encoded` is its JSON, by which most need no look."""
    text = bytes(encoded)
    if text.count(b"{") + text.count(b"[") <= JSON_MAX_DEPTH:
        return False
    level = [value]
    for _ in range(JSON_MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _nested_too_deeply() -> ArgumentsTooLarge:
    return ArgumentsTooLarge(f"The arguments are nested more than {JSON_MAX_DEPTH} levels deep.")
