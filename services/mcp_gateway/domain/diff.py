"""What is otherwise in a tool's definition, for people: the place, before and after, and lines of longer texts."""

import difflib
from itertools import zip_longest
from typing import Any

import msgspec
from msgspec import UNSET

from services.mcp_gateway.limits import (
    DIFF_CHANGES_MAX,
    DIFF_LINES_MAX,
    DIFF_PATH_MAX_CHARS,
    DIFF_PLACES_MAX,
    DIFF_VALUE_MAX_CHARS,
)


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One place. A side that is UNSET has nothing there. `lines` is a unified diff where both sides are longer texts.

    Values above a bound are given as the beginning of their JSON.
    """

    path: str
    before: Any = UNSET
    after: Any = UNSET
    lines: list[str] = []


def differences(before: Any, after: Any) -> list[Change]:
    """Return the places at which two JSON values differ, at most `DIFF_CHANGES_MAX`; a last one says if there are more.

    Lists are compared place by place. At most `DIFF_PLACES_MAX` places are looked at.
    """
    found: list[Change] = []
    waiting: list[tuple[str, Any, Any]] = [("", before, after)]
    looked = 0
    while waiting:
        path, old, new = waiting.pop()
        looked += 1
        if looked > DIFF_PLACES_MAX or len(found) >= DIFF_CHANGES_MAX:
            found.append(Change("…", after="There is more than is compared here."))
            break
        if isinstance(old, dict) and isinstance(new, dict):
            names = [*old, *(name for name in new if name not in old)]
            waiting += [
                (f"{path}.{name}" if path else name, old.get(name, UNSET), new.get(name, UNSET))
                for name in reversed(names)
            ]
        elif isinstance(old, list) and isinstance(new, list):
            waiting += [(f"{path}[{at}]", *pair) for at, pair in _backwards(old, new)]
        elif type(old) is not type(new) or old != new:
            found.append(Change(path[:DIFF_PATH_MAX_CHARS], _shown(old), _shown(new), _lines(old, new)))
    return found


def _backwards(old: list[Any], new: list[Any]) -> list[tuple[int, tuple[Any, Any]]]:
    return list(enumerate(zip_longest(old, new, fillvalue=UNSET)))[::-1]


def _shown(value: Any) -> Any:
    if value is UNSET or (isinstance(value, str) and len(value) <= DIFF_VALUE_MAX_CHARS):
        return value
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return value if len(text) <= DIFF_VALUE_MAX_CHARS else f"{text[:DIFF_VALUE_MAX_CHARS]}…"


def _lines(old: Any, new: Any) -> list[str]:
    if not isinstance(old, str) or not isinstance(new, str) or not ("\n" in old or "\n" in new):
        return []
    before, after = (text[:DIFF_VALUE_MAX_CHARS].split("\n")[:DIFF_LINES_MAX] for text in (old, new))
    return list(difflib.unified_diff(before, after, lineterm="", n=2))[2 : DIFF_LINES_MAX + 2]
