"""How deep JSON is nested. What is too deep cannot be encoded, or cannot be read again once it is stored."""

from typing import Any

NESTING_MAX = 200
"""Levels of a value that a step begins with or gives. Recursive readers, ours and others', take about a thousand."""


def may_be_deep(encoded: bytes) -> bool:
    """Whether JSON has so many brackets that it may be nested too deeply: nearly always not, and cheap to know."""
    return encoded.count(b"[") + encoded.count(b"{") > NESTING_MAX


def is_deep(value: Any) -> bool:
    """Whether more than `NESTING_MAX` containers lie one in another. Without recursion."""
    level = [value]
    for _ in range(NESTING_MAX):
        level = [item for item in level if isinstance(item, dict | list)]
        if not level:
            return False
        level = [item for held in level for item in (held.values() if isinstance(held, dict) else held)]
    return any(isinstance(item, dict | list) for item in level)
