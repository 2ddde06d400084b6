"""Texts that cannot be kept everywhere: Postgres takes no U+0000, and UTF-8 has no half of a surrogate pair."""

from typing import Any

_NULL = "\0"
_REPLACEMENT = "\ufffd"


def is_storable(text: str) -> bool:
    """Whether a text can be kept in a column of text."""
    return _NULL not in text and (text.isascii() or _is_encodable(text))


def storable(text: str) -> str:
    """Return a text that can be kept: U+FFFD stands for what cannot."""
    if is_storable(text):
        return text
    return text.replace(_NULL, _REPLACEMENT).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def may_hold_null(encoded: bytes) -> bool:
    """Whether JSON may say U+0000 somewhere, which it can only as an escape: nearly always not, and cheap to know."""
    return rb"\u0000" in encoded


def holds_null(value: Any) -> bool:
    """Whether a text or a key in a value of JSON has U+0000 in it. Without recursion."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if _NULL in item:
                return True
        elif isinstance(item, dict):
            stack.extend(item)
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return False


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
