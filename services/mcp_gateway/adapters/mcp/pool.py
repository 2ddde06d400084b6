"""Sessions that are kept: started when first needed, shared by all calls of one key, closed when idle."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from msgspec import Raw, structs

from services.mcp_gateway.adapters.mcp.launch import LaunchSpec
from services.mcp_gateway.adapters.mcp.model import Opening, Session, ToolDefinition, ToolResult
from services.mcp_gateway.adapters.mcp.place import Place, PoolBounds, SessionKey, SessionState
from services.mcp_gateway.app.relay import Client, Relay
from services.mcp_gateway.errors import CommandNotAllowed, ServerBusy, ServerUnavailable
from services.mcp_gateway.limits import START_SECONDS
from shared.errors import PlatformError

_log = logging.getLogger(__name__)

SessionOpener = Callable[[LaunchSpec, Opening], Awaitable[Session]]
"""Opens a session. The era is the one that the server spoke last time, or None when that is not known."""

NoticeHandler = Callable[[SessionKey, str, Any], None]
"""Called with the key, method and params of what servers notify, such as a changed list of tools. Must not block."""


StartHandler = Callable[[SessionKey, Session], Awaitable[None]]
"""Called with each session that was opened, before anybody else gets it. What it raises, the start raises."""


class PooledSession:
    """A key's session as its callers hold it. It outlives the process behind it: the next call starts another.

    A call is sent at most once. When the server dies under it, the call fails with `ServerDied` and the caller decides.
    """

    def __init__(self, pool: "SessionPool", place: Place) -> None:
        self._pool = pool
        self._place = place

    @property
    def alive(self) -> bool:
        session = self._place.session
        return not self._place.evicted and session is not None and session.alive

    async def list_tools(self) -> list[ToolDefinition]:
        async with self._pool.turn(self._place, START_SECONDS) as session:
            return await session.list_tools()

    async def call_tool(
        self,
        name: str,
        arguments: dict[str, Any],
        *,
        timeout: float,  # noqa: ASYNC109 - part of it is spent waiting for a turn, the rest in the call
        relay: Relay | None = None,
    ) -> ToolResult:
        """As `Session.call_tool`. Raises `ServerBusy` when there is no turn within `timeout`: it was not sent then."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        async with self._pool.turn(self._place, timeout) as session:
            return await session.call_tool(name, arguments, timeout=max(0.001, deadline - loop.time()), relay=relay)

    async def request(
        self,
        method: str,
        params: dict[str, Any],
        *,
        timeout: float,  # noqa: ASYNC109 - as above
        relay: Relay | None = None,
    ) -> Raw:
        """As `Session.request`, and raises `ServerBusy` as `call_tool`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        async with self._pool.turn(self._place, timeout) as session:
            return await session.request(method, params, timeout=max(0.001, deadline - loop.time()), relay=relay)

    async def follow(self, uris: frozenset[str]) -> None:
        """As `Session.follow`. It takes no turn from calls, and does not keep the session from being idle."""
        session = await self._pool.running(self._place)
        await session.follow(uris)

    async def ping(self, timeout: float) -> None:  # noqa: ASYNC109 - as above
        async with self._pool.turn(self._place, timeout) as session:
            await session.ping(timeout)


class SessionPool:
    """All sessions of one gateway process. Use as `async with SessionPool(open_session) as pool`."""

    def __init__(
        self,
        open_session: SessionOpener,
        bounds: PoolBounds | None = None,
        on_notice: NoticeHandler | None = None,
        on_start: StartHandler | None = None,
    ) -> None:
        self._open_session = open_session
        self._on_notice = on_notice
        self._on_start = on_start
        self._bounds = bounds if bounds is not None else PoolBounds()
        self._places: dict[SessionKey, Place] = {}
        self._closings: set[asyncio.Task[None]] = set()
        self._reaper: asyncio.Task[None] | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        self._reaper = asyncio.create_task(self._reap_forever())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def session(self, key: SessionKey, launch: LaunchSpec, client: Client | None = None) -> PooledSession:
        """Return the session of this key, started if it does not run. Any number of callers cause one start.

        Raises what starting raises, `ServerUnavailable` with `retry_after` while a failed server is left alone, and
        `ServerBusy` when the tenant has as many sessions at work as it may.
        """
        place = self._places.get(key)
        if place is not None and place.launch != launch:
            self._drop(place)
            place = None
        if place is None:
            place = self._places[key] = Place(key, launch, self._bounds, _now(), client)
        await self.running(place)
        return PooledSession(self, place)

    async def probe(self, key: SessionKey, seconds: float) -> bool:
        """Ask a live session for a sign of life, which counts as no use of it. False: there is none, or no more.

        Raises what `Session.ping` raises.
        """
        place = self._places.get(key)
        session = place.session if place is not None else None
        if place is None or session is None or not session.alive:
            return False
        try:
            await session.ping(seconds)
        except PlatformError:
            if place.evicted:
                return False
            raise
        return True

    async def evict(self, key: SessionKey) -> None:
        """Forget the sessions of a key, whatever their `client`.

        They get no new calls; those that run may finish within a bound, then the session is closed.
        """
        whole = structs.replace(key, client="")
        gone = [place for other, place in self._places.items() if structs.replace(other, client="") == whole]
        if gone:
            await asyncio.shield(asyncio.gather(*(self._drop(place) for place in gone)))

    async def evict_client(self, tenant_id: UUID, client: str) -> None:
        """Forget the sessions that were opened for one client; those that all share are nobody's to end."""
        if not client:
            return
        for key, place in list(self._places.items()):
            if key.tenant_id == tenant_id and key.client == client:
                self._drop(place)

    async def close(self) -> None:
        """Close every session, without waiting for calls. Nothing is started afterwards."""
        self._closed = True
        if self._reaper is not None:
            self._reaper.cancel()
            await asyncio.wait([self._reaper])
        places = list(self._places.values())
        self._places.clear()
        for place in places:
            place.evicted = True
            if place.starting is not None:
                place.starting.cancel()
            self._close_session(place)
        starting = [place.starting for place in places if place.starting is not None]
        if starting:
            await asyncio.wait(starting)
        while self._closings:
            await asyncio.wait(self._closings)

    def states(self) -> list[SessionState]:
        """What runs and what does not, for health views."""
        now = _now()
        return [place.state(now) for place in self._places.values()]

    @asynccontextmanager
    async def turn(self, place: Place, seconds: float) -> AsyncIterator[Session]:
        """Wait for one of the session's slots and give the running session. Raises `ServerBusy` without having sent."""
        if place.waiting >= self._bounds.calls_waiting:
            raise ServerBusy(f"{place.waiting} calls wait for this server already.", retry_after=1.0)
        place.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await place.slots.acquire()
        except TimeoutError as error:
            raise ServerBusy(f"The server was busy with other calls for {seconds:g} s.", retry_after=1.0) from error
        finally:
            place.waiting -= 1
        place.in_flight += 1
        place.idle.clear()
        try:
            yield await self.running(place)
        finally:
            place.in_flight -= 1
            place.last_used = _now()
            place.slots.release()
            if place.in_flight == 0:
                place.idle.set()

    async def running(self, place: Place) -> Session:
        """Return the place's live session, starting it if need be. The start belongs to no caller's cancellation."""
        if self._closed or place.evicted:
            raise ServerUnavailable("This session was closed; ask for it anew.")
        place.last_used = _now()
        session = place.session
        if session is not None and session.alive:
            return session
        if place.starting is None:
            if session is not None:
                self._note_death(place)
            wait = place.backoff(_now())
            if wait > 0:
                raise ServerUnavailable(
                    f"The server failed {place.failures} times; it is started again in {wait:.1f} s.", retry_after=wait
                )
            self._make_room(place.key.tenant_id)
            place.starting = asyncio.create_task(self._start(place))
            place.starting.add_done_callback(_retrieve)
        starting = place.starting
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            if starting.cancelled() and self._closed:
                raise ServerUnavailable("This session was closed while it started.") from None
            raise

    async def _start(self, place: Place) -> Session:
        try:
            on_notice = partial(self._on_notice, place.key) if self._on_notice is not None else None
            session = await self._open_session(place.launch, Opening(place.era, place.client, on_notice))
            await self._greet(place.key, session)
        except CommandNotAllowed:
            raise  # a matter of configuration: waiting does not mend it
        except Exception:
            place.failed(_now())
            raise
        else:
            place.started(session, _now())
            if place.evicted:
                self._close_session(place)
            return session
        finally:
            place.starting = None

    async def _greet(self, key: SessionKey, session: Session) -> None:
        if self._on_start is None:
            return
        try:
            await self._on_start(key, session)
        except BaseException:
            await asyncio.shield(session.close())
            raise

    def _note_death(self, place: Place) -> None:
        place.failed(_now())
        _log.warning("session %s died (%d in a row)", place.key, place.failures)
        self._close_session(place)

    def _make_room(self, tenant_id: UUID) -> None:
        """Close the longest unused session if a cap is reached. Raises `ServerBusy` when all of them are at work."""
        occupied = [place for place in self._places.values() if place.occupied]
        of_tenant = [place for place in occupied if place.key.tenant_id == tenant_id]
        for crowd, cap, whose in (
            (of_tenant, self._bounds.sessions_per_tenant, "of this tenant"),
            (occupied, self._bounds.sessions, "of this gateway"),
        ):
            if len(crowd) < cap:
                continue
            resting = [place for place in crowd if place.resting]
            if not resting:
                raise ServerBusy(f"All {cap} server sessions {whose} are at work.", retry_after=1.0)
            self._drop(min(resting, key=lambda place: place.last_used))

    def _drop(self, place: Place) -> asyncio.Task[None]:
        place.evicted = True
        if self._places.get(place.key) is place:
            del self._places[place.key]
        return self._track(self._drain_and_close(place))

    async def _drain_and_close(self, place: Place) -> None:
        try:
            async with asyncio.timeout(self._bounds.evict_drain_s):
                await place.idle.wait()
        except TimeoutError:
            _log.warning("session %s is closed under %d running calls", place.key, place.in_flight)
        if place.session is not None:
            session, place.session = place.session, None
            await session.close()

    def _close_session(self, place: Place) -> None:
        session, place.session = place.session, None
        if session is not None:
            self._track(session.close())

    def _track(self, closing: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(closing)
        self._closings.add(task)
        task.add_done_callback(self._closings.discard)
        task.add_done_callback(_log_failure)
        return task

    async def _reap_forever(self) -> None:
        while True:
            await asyncio.sleep(self._bounds.reap_interval_s)
            now = _now()
            for place in list(self._places.values()):
                if place.session is not None and not place.session.alive and place.resting:
                    self._note_death(place)
                if place.resting and now - place.last_used >= self._bounds.idle_s:
                    self._drop(place)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _retrieve(task: asyncio.Task[Session]) -> None:
    """Mark a failed start as seen: every caller may have gone before it failed."""
    if not task.cancelled():
        task.exception()


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("a session could not be closed", exc_info=task.exception())
