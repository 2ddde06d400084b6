"""A token bucket in whole numbers: nothing is lost to rounding, however often it is asked.

A token is 60 · 10⁹ parts. A limit of n a minute refills n parts each nanosecond.
"""

from services.mcp_gateway.limits import RATE_BURST_MAX

PARTS = 60_000_000_000


class Bucket:
    """How many calls may be made now. It begins full. Times are nanoseconds of a clock that never goes back."""

    def __init__(self, per_minute: int, now: int) -> None:
        self._per_minute = per_minute
        self._parts = self._full
        self._at = now

    @property
    def burst(self) -> int:
        """How many calls may come at once after a rest."""
        return min(self._per_minute, RATE_BURST_MAX)

    @property
    def _full(self) -> int:
        return self.burst * PARTS

    def refill(self, per_minute: int, now: int) -> None:
        """Add what time has brought, under the limit that held until now; from now on `per_minute` holds."""
        self._parts = min(self._full, self._parts + max(0, now - self._at) * self._per_minute)
        self._at = max(self._at, now)
        if per_minute != self._per_minute:
            self._per_minute = per_minute
            self._parts = min(self._full, self._parts)

    def take(self) -> None:
        """Take a token. Only after `wait` has said 0."""
        self._parts -= PARTS

    @property
    def wait(self) -> int:
        """Nanoseconds until there is a token, 0 if there is one."""
        return max(0, -(-(PARTS - self._parts) // self._per_minute))

    @property
    def remaining(self) -> int:
        """Whole tokens."""
        return self._parts // PARTS

    @property
    def reset(self) -> int:
        """Nanoseconds until it is full."""
        return -(-(self._full - self._parts) // self._per_minute)
