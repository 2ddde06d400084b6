"""How JSONPath compares values (RFC 9535, section 2.3.5.2.2): by type and value, and `Nothing` for what is missing."""

from collections.abc import Callable
from typing import Any


class _Nothing:
    """The value of a singular query that selects no node. Equal to itself alone."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING = _Nothing()

_NUMBERS = (int, float)


def equal(left: Any, right: Any) -> bool:
    """Return whether two JSON values are equal. True is not 1, 1 is 1.0, objects compare without order."""
    pairs = [(left, right)]
    while pairs:
        left, right = pairs.pop()
        if left is right:
            continue
        kind = type(left)
        if kind is not type(right):
            if kind in _NUMBERS and type(right) in _NUMBERS and left == right:
                continue
            return False
        if kind is dict:
            if left.keys() != right.keys():
                return False
            pairs.extend((value, right[key]) for key, value in left.items())
        elif kind is list:
            if len(left) != len(right):
                return False
            pairs.extend(zip(left, right, strict=True))
        elif left != right:
            return False
    return True


def less(left: Any, right: Any) -> bool:
    """Return whether `left` orders before `right`: numbers among numbers, texts among texts, nothing else."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return bool(left < right)
    if isinstance(left, str) and isinstance(right, str):
        return left < right
    return False


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "<": less,
    ">": lambda left, right: less(right, left),
    "<=": lambda left, right: less(left, right) or equal(left, right),
    ">=": lambda left, right: less(right, left) or equal(left, right),
}
