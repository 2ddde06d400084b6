"""Identifiers: UUIDv7 (RFC 9562 §5.7), and ids that are derived so that doing a thing twice names the same thing."""

import hashlib
import os
import time
from uuid import UUID

_NAMESPACE = UUID("6f1d3c52-3f0e-5c8b-9d53-0d0d7a2f6c11")


def new_id() -> UUID:
    """Return a UUIDv7: 48 bits of Unix milliseconds, then 74 random bits."""
    value = (time.time_ns() // 1_000_000) << 80
    value |= int.from_bytes(os.urandom(10), "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return UUID(int=value)


def id_of(text: str) -> UUID | None:
    """Return the id that a text is in its usual form, or None."""
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text.lower() else None


def derived_id_at(milliseconds: int, *parts: object) -> UUID:
    """Return the same UUIDv8 for the same time and parts: derived, and in the order of time as a UUIDv7 is.

    `milliseconds` (Unix) must be a part of what the thing is, such as the time that a schedule names; never the clock.
    """
    value = (milliseconds << 80) | (derived_id(milliseconds, *parts).int & ((1 << 80) - 1))
    value = (value & ~(0xF << 76)) | (0x8 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return UUID(int=value)


def time_of(id_: UUID) -> int:
    """Return the first 48 bits of an id: of a UUIDv7 the Unix milliseconds in which it was made."""
    return id_.int >> 80


def derived_id(*parts: object) -> UUID:
    """Return the same UUIDv5 for the same parts: the natural key of something that must not be made twice.

    Its first bit is set: whoever chooses the parts chooses no id that could be one with a time, before the year 6429.
    """
    named = _NAMESPACE.bytes + "\x1f".join([str(part) for part in parts]).encode()
    value = int.from_bytes(hashlib.sha1(named, usedforsecurity=False).digest()[:16])
    value = (value & ~(0xF << 76)) | (0x5 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return UUID(int=value | 1 << 127)
