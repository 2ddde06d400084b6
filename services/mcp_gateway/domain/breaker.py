"""When a server that fails is left alone. Pure: times are seconds of a clock that never goes back."""

from collections import deque
from typing import Literal

import msgspec

from services.mcp_gateway.limits import (
    BREAKER_CALLS_SEEN,
    BREAKER_FAILURES,
    BREAKER_OPEN_SECONDS,
    BREAKER_OPEN_SECONDS_MAX,
    BREAKER_TIMEOUT_SECONDS,
    BREAKER_WINDOW_SECONDS,
)

State = Literal["closed", "open", "half_open"]
Verdict = Literal["ok", "failed", "none"]
"""How a call speaks of its server: it answered, it failed as a server, or the call says nothing of it."""


class Ticket(msgspec.Struct, frozen=True):
    """A call that was let through, and when."""

    began: float
    probe: bool


class Breaker:
    """Opens when of the last calls at least half failed, and enough of them; then lets single calls try.

    Calls that ran when another one failed say nothing new: one death of a server fails all that it carried.
    """

    def __init__(self) -> None:
        self.state: State = "closed"
        self._seen: deque[tuple[float, bool]] = deque(maxlen=BREAKER_CALLS_SEEN)
        self._failed_at = float("-inf")
        self._opened_at = float("-inf")
        self._open_seconds = BREAKER_OPEN_SECONDS
        self._probing = False

    def wait(self, now: float) -> float:
        """Return the seconds until a call is let through, 0 if one is now."""
        if self.state == "open":
            return max(0.0, self._opened_at + self._open_seconds - now)
        return BREAKER_OPEN_SECONDS if self._probing else 0.0

    def begin(self, now: float) -> Ticket:
        """Let a call through, after `wait` said 0."""
        if self.state == "open":
            self.state = "half_open"
        self._probing = self.state == "half_open"
        return Ticket(now, self._probing)

    def end(self, ticket: Ticket, verdict: Verdict, now: float) -> None:
        """Take note of how a call went. What began before the breaker opened changes nothing any more."""
        if ticket.probe:
            self._probing = False
            if verdict == "ok":
                self._close()
            elif verdict == "failed":
                self._open_seconds = min(BREAKER_OPEN_SECONDS_MAX, self._open_seconds * 2)
                self._open(now)
            return
        if self.state != "closed" or verdict == "none" or ticket.began < self._opened_at:
            return
        if verdict == "ok":
            self._seen.append((now, True))
        elif ticket.began >= self._failed_at:
            self._failed_at = now
            self._seen.append((now, False))
            self._judge(now)

    def _judge(self, now: float) -> None:
        while self._seen[0][0] < now - BREAKER_WINDOW_SECONDS:
            self._seen.popleft()
        failures = sum(not ok for _, ok in self._seen)
        if failures >= BREAKER_FAILURES and failures * 2 >= len(self._seen):
            self._open(now)

    def _open(self, now: float) -> None:
        self.state = "open"
        self._opened_at = now

    def _close(self) -> None:
        self.state = "closed"
        self._seen.clear()
        self._open_seconds = BREAKER_OPEN_SECONDS


_SERVER_FAILED = frozenset({"server_died", "protocol_violation"})
_ANSWERED = frozenset({"tool_error", "tool_not_found", "arguments_invalid", "result_too_large"})


def verdict_of(code: str, retry_after: float | None, seconds: float) -> Verdict:
    """Say what the failure of a call that had so many seconds tells of its server.

    A caller in a hurry proves nothing, and a start that waits its turn (`retry_after`) was counted when it failed.
    """
    if code in _ANSWERED:
        return "ok"
    if code == "tool_timeout":
        return "failed" if seconds >= BREAKER_TIMEOUT_SECONDS else "none"
    if code == "server_unavailable":
        return "failed" if retry_after is None else "none"
    return "failed" if code in _SERVER_FAILED else "none"
