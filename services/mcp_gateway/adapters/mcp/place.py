"""The pool's place for one session: whether it runs, how many calls it carries, and when it may be started again."""

import asyncio
from uuid import UUID

import msgspec

from services.mcp_gateway.adapters.mcp.launch import LaunchSpec
from services.mcp_gateway.adapters.mcp.model import Era, Session
from services.mcp_gateway.limits import (
    CALLS_IN_FLIGHT_PER_SESSION_MAX,
    CALLS_WAITING_PER_SESSION_MAX,
    EVICT_DRAIN_SECONDS,
    IDLE_SECONDS,
    REAP_INTERVAL_SECONDS,
    RESTART_DELAY_SECONDS,
    RESTART_DELAY_SECONDS_MAX,
    SESSIONS_MAX,
    SESSIONS_PER_TENANT_MAX,
    STABLE_SECONDS,
)


class SessionKey(msgspec.Struct, frozen=True):
    """Whose session with what. A changed definition, its credentials among it, is another session.

    `identity` stands for the values of the secrets that the session was started with.
    """

    tenant_id: UUID
    server_id: UUID
    version: int
    identity: str = ""


class PoolBounds(msgspec.Struct, frozen=True):
    """The pool's limits; the defaults are those of `limits.py`."""

    sessions: int = SESSIONS_MAX
    sessions_per_tenant: int = SESSIONS_PER_TENANT_MAX
    calls_in_flight: int = CALLS_IN_FLIGHT_PER_SESSION_MAX
    calls_waiting: int = CALLS_WAITING_PER_SESSION_MAX
    idle_s: float = IDLE_SECONDS
    reap_interval_s: float = REAP_INTERVAL_SECONDS
    evict_drain_s: float = EVICT_DRAIN_SECONDS
    restart_delay_s: float = RESTART_DELAY_SECONDS
    restart_delay_max_s: float = RESTART_DELAY_SECONDS_MAX
    stable_s: float = STABLE_SECONDS


class SessionState(msgspec.Struct, frozen=True):
    """What the pool knows of one session, for health views. `retry_after_s` is above 0 while it backs off."""

    key: SessionKey
    alive: bool
    in_flight: int
    waiting: int
    starts: int
    failures: int
    retry_after_s: float


class Place:
    """One key's session and its bookkeeping. Times are those of the event loop."""

    def __init__(self, key: SessionKey, launch: LaunchSpec, bounds: PoolBounds, now: float) -> None:
        self.key = key
        self.launch = launch
        self.session: Session | None = None
        self.starting: asyncio.Task[Session] | None = None
        self.slots = asyncio.Semaphore(bounds.calls_in_flight)
        self.idle = asyncio.Event()
        self.idle.set()
        self.in_flight = 0
        self.waiting = 0
        self.last_used = now
        self.era: Era | None = None
        self.evicted = False
        self.starts = 0
        self.failures = 0
        self._bounds = bounds
        self._started_at = now
        self._not_before = now

    @property
    def occupied(self) -> bool:
        """Whether this place counts against the caps."""
        return self.session is not None or self.starting is not None

    @property
    def resting(self) -> bool:
        """Whether its session could be closed without failing a call."""
        return self.in_flight == 0 and self.waiting == 0 and self.starting is None

    def backoff(self, now: float) -> float:
        """Seconds until the server may be started again."""
        return max(0.0, self._not_before - now)

    def started(self, session: Session, now: float) -> None:
        self.session = session
        self.era = session.era
        self.starts += 1
        self._started_at = now

    def failed(self, now: float) -> None:
        """Count a failed start or a death. The first retry is immediate; then the wait doubles up to its bound.

        A session that had lived for `stable_s` starts the count anew.
        """
        if self.session is not None and now - self._started_at >= self._bounds.stable_s:
            self.failures = 0
        self.failures += 1
        delay = 0.0
        if self.failures > 1:
            exponent = min(self.failures - 2, 32)
            delay = min(self._bounds.restart_delay_max_s, self._bounds.restart_delay_s * 2.0**exponent)
        self._not_before = now + delay

    def state(self, now: float) -> SessionState:
        return SessionState(
            key=self.key,
            alive=self.session is not None and self.session.alive,
            in_flight=self.in_flight,
            waiting=self.waiting,
            starts=self.starts,
            failures=self.failures,
            retry_after_s=self.backoff(now),
        )
