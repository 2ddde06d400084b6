"""Time as the engine counts it."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Gives Unix milliseconds. It may step back: the engine's own time does not."""


def now_ms() -> int:
    """Return Unix milliseconds."""
    return time.time_ns() // 1_000_000
