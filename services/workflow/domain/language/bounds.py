"""Is a value plain JSON of a bearable size? Asked first, and without recursion, of whatever a caller sends."""

import math
from collections.abc import Iterable
from typing import Any

from services.workflow.domain.language.errors import fault
from services.workflow.domain.language.paths import join_path
from shared.errors import FieldFault

# JSON numbers beyond 64 bits survive neither every peer nor every database.
_LEAST, _MOST = -(2**63), 2**64 - 1

# A place: its container's place and its own key, so that a path costs nothing until there is a fault.
_Place = tuple["_Place", str | int] | None


def json_fault(value: Any, *, max_depth: int, max_size: int) -> FieldFault | None:
    """Return the first thing that keeps `value` from being JSON within the bounds, or None.

    `max_size` is compared with the characters of texts and keys plus one for each value: a little less than its JSON.
    """
    size = 0
    stack: list[tuple[Any, int, _Place]] = [(value, 1, None)]
    while stack:
        item, depth, place = stack.pop()
        size += 1
        children: Iterable[tuple[str | int, Any]] = ()
        if isinstance(item, str):
            size += len(item)
            wrong = _text_fault(item)
        elif isinstance(item, dict):
            wrong = _keys_fault(item)
            size += len(item) if wrong else sum(map(len, item))
            children = item.items()
        elif isinstance(item, list):
            wrong = None
            children = enumerate(item)
        else:
            wrong = _scalar_fault(item)
        if wrong is None and depth > max_depth:
            wrong = f"nested deeper than {max_depth} levels", "nesting_too_deep"
        if wrong is None and size + len(stack) > max_size:
            wrong = f"larger than {max_size:,} characters", "too_large"
            place = None
        if wrong is not None:
            return fault(_path(place), wrong[0], wrong[1])
        stack.extend((child, depth + 1, (place, key)) for key, child in children)
    return None


def _text_fault(text: str) -> tuple[str, str] | None:
    if "\x00" in text:
        return "a text cannot contain the character U+0000", "not_json"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "a text contains half of a surrogate pair", "not_json"
    return None


def _keys_fault(item: dict[Any, Any]) -> tuple[str, str] | None:
    for key in item:
        if not isinstance(key, str):
            return f"a key is a text, not {key!r}", "not_json"
        if wrong := _text_fault(key):
            return wrong
    return None


def _scalar_fault(item: Any) -> tuple[str, str] | None:
    if isinstance(item, bool) or item is None:
        return None
    if isinstance(item, int):
        return None if _LEAST <= item <= _MOST else ("a whole number has at most 64 bits", "number_out_of_range")
    if isinstance(item, float):
        return None if math.isfinite(item) else ("NaN and infinities are no JSON", "number_out_of_range")
    return f"{type(item).__name__} is no JSON value", "not_json"


def _path(place: _Place) -> str:
    keys: list[str | int] = []
    while place is not None:
        place, key = place
        keys.append(key)
    # A path as deep as hostile data is of no use to a reader.
    return join_path("", *reversed(keys[-12:]))


def depth_of(value: Any) -> int:
    """Return how many containers lie one in another; 0 for a scalar. Without recursion."""
    depth = 0
    level = [value]
    while level := [child for child in level if isinstance(child, dict | list)]:
        depth += 1
        level = [child for held in level for child in (held.values() if isinstance(held, dict) else held)]
    return depth
