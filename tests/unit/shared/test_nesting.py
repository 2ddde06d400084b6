"""Values that are nested too deeply are known without recursion."""

from typing import Any

import msgspec
import pytest

from shared.nesting import NESTING_MAX, is_deep, may_be_deep


def nested(levels: int, innermost: Any = 1) -> Any:
    value = innermost
    for level in range(levels):
        value = [value] if level % 2 else {"x": value}
    return value


@pytest.mark.parametrize(
    ("value", "deep"),
    [
        (1, False),
        (None, False),
        ([[]] * 1_000, False),
        (nested(NESTING_MAX), False),
        (nested(NESTING_MAX + 1), True),
        (nested(NESTING_MAX, []), True),
        ([1, "a", nested(NESTING_MAX)], True),
    ],
)
def test_depth(value: Any, *, deep: bool) -> None:
    assert is_deep(value) is deep
    assert may_be_deep(msgspec.json.encode(value)) or not deep


def test_a_hostile_depth_needs_no_stack() -> None:
    assert is_deep(nested(100_000))
