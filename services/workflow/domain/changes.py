"""What differs between two JSON values, place by place."""

from collections.abc import Iterator
from typing import Any

import msgspec

from services.workflow.domain.language.comparison import equal
from services.workflow.domain.language.paths import join_path


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One place that differs. What was not there before, or is not there after, is left out."""

    path: str
    before: Any = msgspec.UNSET
    after: Any = msgspec.UNSET


def changes(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """Yield what differs, objects member by member and lists element by element, everything else as a whole."""
    if equal(before, after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from _member(before.get(key, msgspec.UNSET), after.get(key, msgspec.UNSET), join_path(path, str(key)))
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            old = before[index] if index < len(before) else msgspec.UNSET
            new = after[index] if index < len(after) else msgspec.UNSET
            yield from _member(old, new, join_path(path, index))
    else:
        yield Change(path, before, after)


def _member(before: Any, after: Any, path: str) -> Iterator[Change]:
    if before is msgspec.UNSET or after is msgspec.UNSET:
        yield Change(path, before, after)
    else:
        yield from changes(before, after, path)
