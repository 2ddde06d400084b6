"""How servers do, as this process finds them: by their calls, and by a sign of life now and then."""

import datetime as dt
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal
from uuid import UUID

import msgspec

from services.mcp_gateway.domain.breaker import Breaker, State, Verdict, verdict_of
from services.mcp_gateway.domain.latencies import Latencies, Percentiles
from services.mcp_gateway.domain.server import Server
from services.mcp_gateway.errors import ServerUnavailable
from services.mcp_gateway.limits import HEALTH_SERVERS_MAX, HEALTH_WAYS_MAX, IDLE_SECONDS
from shared.errors import PlatformError
from shared.ids import new_id

Status = Literal["healthy", "degraded", "unhealthy"]


class HealthChange(msgspec.Struct, frozen=True):
    """A server is found otherwise than before. `stream` and `version` are where that is written."""

    tenant_id: UUID
    server_id: UUID
    status: Status
    before: Status
    code: str | None
    seen_at: dt.datetime
    stream: UUID
    version: int


class _Way:
    """One way of using a server: its own, or under configs that override it."""

    def __init__(self, now: float) -> None:
        self.breaker = Breaker()
        self.silent = False
        self.used_at = now

    @property
    def failing(self) -> bool:
        return self.silent or self.breaker.state != "closed"


class _Standing:
    """What is kept of a server. The ways of an older revision are forgotten with the first of a newer one.

    So are those that nobody takes any more, such as that of a config that was mended.
    """

    def __init__(self) -> None:
        self.status: Status = "healthy"
        self.latencies = Latencies()
        self.stream = new_id()
        self.version = 0
        self.revision = 0
        self.ways: OrderedDict[str, _Way] = OrderedDict()

    def way(self, server: Server, now: float) -> _Way:
        if server.revision > self.revision:
            self.revision = server.revision
            self.ways.clear()
        way = self.ways.get(server.identity)
        if way is None:
            way = self.ways[server.identity] = _Way(now)
            if len(self.ways) > HEALTH_WAYS_MAX:
                self.ways.popitem(last=False)
        else:
            self.ways.move_to_end(server.identity)
            way.used_at = now
        return way

    def judged(self, now: float) -> Status:
        while self.ways and next(iter(self.ways.values())).used_at < now - IDLE_SECONDS:
            self.ways.popitem(last=False)
        failing = sum(way.failing for way in self.ways.values())
        if not failing:
            return "healthy"
        return "unhealthy" if failing == len(self.ways) else "degraded"


class Healths:
    """A breaker for each way of using a server, and what that says of the server. Bounded in servers, oldest first."""

    def __init__(self, announce: Callable[[HealthChange], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._announce = announce
        self._clock = clock
        self._standings: OrderedDict[tuple[UUID, UUID], _Standing] = OrderedDict()

    @contextmanager
    def call(self, server: Server, seconds: float) -> Iterator[Latencies]:
        """Watch a call that has so many seconds. Its server's part in it goes to what this gives.

        Raises `ServerUnavailable` with `retry_after` while the server is left alone: nothing was sent then.
        """
        standing = self._of(server)
        now = self._clock()
        way = standing.way(server, now)
        wait = way.breaker.wait(now)
        if wait > 0:
            raise ServerUnavailable(
                f"The server failed too often and is left alone for {wait:.1f} s.", retry_after=wait
            )
        ticket = way.breaker.begin(now)
        failure: PlatformError | None = None
        verdict: Verdict = "none"
        try:
            yield standing.latencies
            verdict = "ok"
        except PlatformError as error:
            failure = error
            verdict = verdict_of(error.code, error.retry_after, seconds)
            raise
        finally:
            way.breaker.end(ticket, verdict, self._clock())
            if verdict == "ok":
                way.silent = False
            if way.failing or (verdict == "ok" and standing.status != "healthy"):
                self._judge(server, standing, failure)

    def pinged(self, server: Server, seconds: float, failure: PlatformError | None = None) -> None:
        """Take note of a sign of life, or of none in so many seconds. Calls that a breaker holds back stay held."""
        standing = self._of(server)
        way = standing.way(server, self._clock())
        if failure is None:
            way.silent = False
        elif verdict_of(failure.code, failure.retry_after, seconds) == "failed":
            way.silent = True
        else:
            return
        self._judge(server, standing, failure)

    def forget(self, server: Server) -> None:
        """Give every way of a server a new beginning: it is used otherwise from now on. What is found then is told."""
        standing = self._standings.get((server.tenant_id, server.id))
        if standing is not None:
            standing.ways.clear()

    def status(self, server: Server) -> Status | None:
        """Return how this process finds a server, None if it has not met it."""
        standing = self._standings.get((server.tenant_id, server.id))
        return standing.status if standing is not None else None

    def circuit(self, server: Server) -> State:
        """Return the state of the worst of a server's breakers."""
        standing = self._standings.get((server.tenant_id, server.id))
        states = {way.breaker.state for way in standing.ways.values()} if standing is not None else set()
        return "open" if "open" in states else "half_open" if "half_open" in states else "closed"

    def latency(self, server: Server) -> Percentiles | None:
        """Return how long the server's last calls took here."""
        standing = self._standings.get((server.tenant_id, server.id))
        return standing.latencies.percentiles() if standing is not None else None

    @property
    def left_alone(self) -> int:
        """How many breakers are not closed."""
        return sum(way.breaker.state != "closed" for one in self._standings.values() for way in one.ways.values())

    def _of(self, server: Server) -> _Standing:
        key = (server.tenant_id, server.id)
        standing = self._standings.get(key)
        if standing is None:
            standing = self._standings[key] = _Standing()
            if len(self._standings) > HEALTH_SERVERS_MAX:
                self._standings.popitem(last=False)
        else:
            self._standings.move_to_end(key)
        return standing

    def _judge(self, server: Server, standing: _Standing, failure: PlatformError | None) -> None:
        before, standing.status = standing.status, standing.judged(self._clock())
        if standing.status == before:
            return
        standing.version += 1
        self._announce(
            HealthChange(
                tenant_id=server.tenant_id,
                server_id=server.id,
                status=standing.status,
                before=before,
                code=failure.code if failure is not None else None,
                seen_at=dt.datetime.now(dt.UTC),
                stream=standing.stream,
                version=standing.version,
            )
        )
