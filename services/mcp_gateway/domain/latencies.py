"""How long the last calls took."""

from array import array

import msgspec

from services.mcp_gateway.limits import LATENCIES_KEPT


class Percentiles(msgspec.Struct, frozen=True):
    """Of the last calls, in milliseconds, by nearest rank: a time that at most so many percent of calls exceeded."""

    calls: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


class Latencies:
    """The times of the last calls, in milliseconds."""

    def __init__(self) -> None:
        self._times = array("d")
        self._next = 0

    def add(self, milliseconds: float) -> None:
        """Take the place of the oldest."""
        if len(self._times) < LATENCIES_KEPT:
            self._times.append(milliseconds)
        else:
            self._times[self._next] = milliseconds
        self._next = (self._next + 1) % LATENCIES_KEPT

    def percentiles(self) -> Percentiles | None:
        """Return how they are spread, None if there are none."""
        if not self._times:
            return None
        times = sorted(self._times)

        def rank(percent: int) -> float:
            return round(times[-(-len(times) * percent // 100) - 1], 3)

        return Percentiles(len(times), rank(50), rank(95), rank(99))
