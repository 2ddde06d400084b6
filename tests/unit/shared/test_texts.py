"""Texts that Postgres or UTF-8 do not take are known, and replaced."""

from typing import Any

import msgspec
import pytest

from shared.texts import holds_null, is_storable, may_hold_null, storable


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", ""),
        ("naïve ☃ 𝄞", "naïve ☃ 𝄞"),
        ("a\0b", "a\ufffdb"),
        ("a\ud834", "a\ufffd"),
        ("\udd1ea\0", "\ufffda\ufffd"),
    ],
)
def test_what_cannot_be_kept_is_replaced(text: str, kept: str) -> None:
    assert storable(text) == kept
    assert is_storable(text) is (text == kept)
    assert is_storable(kept)


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        (None, False),
        (0, False),
        ("0", False),
        ("\\u0000", False),
        ("a\0", True),
        ([1, {"a": ["b", "\0"]}], True),
        ({"a\0": 1}, True),
    ],
)
def test_a_null_is_found_wherever_it_is(value: Any, *, holds: bool) -> None:
    assert holds_null(value) is holds
    assert may_hold_null(msgspec.json.encode(value)) or not holds


def test_a_hostile_depth_needs_no_stack() -> None:
    value: Any = "\0"
    for _ in range(100_000):
        value = [value]
    assert holds_null(value)
