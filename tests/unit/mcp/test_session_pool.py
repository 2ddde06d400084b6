"""The pool's rules, with sessions that are objects: one start, reuse, caps, backoff, eviction."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec import Raw

from services.mcp_gateway.adapters.mcp.launch import LaunchSpec, StdioLaunch
from services.mcp_gateway.adapters.mcp.model import (
    Opening,
    ServerInfo,
    ToolDefinition,
    ToolResult,
)
from services.mcp_gateway.adapters.mcp.place import Place, PoolBounds, SessionKey
from services.mcp_gateway.adapters.mcp.pool import SessionPool
from services.mcp_gateway.app.relay import Era, Relay
from services.mcp_gateway.errors import CommandNotAllowed, ServerBusy, ServerDied, ServerUnavailable

LAUNCH = StdioLaunch("server")
TENANT = uuid4()


class MemorySession:
    """A session whose calls wait until they are let go."""

    server_info = ServerInfo("memory", "1")
    protocol_version = "2026-07-28"
    era: Era = "modern"
    capabilities: dict[str, Any] = {}  # noqa: RUF012 - nobody changes it
    instructions = None

    def __init__(self) -> None:
        self.alive = True
        self.closed = 0
        self.calls = 0
        self.released = asyncio.Event()
        self.released.set()

    async def list_tools(self) -> list[ToolDefinition]:
        return [ToolDefinition("t", {})]

    async def call_tool(
        self,
        name: str,
        arguments: dict[str, Any],
        *,
        timeout: float,  # noqa: ASYNC109 - the port's signature
        relay: Relay | None = None,
    ) -> ToolResult:
        assert relay is None
        self.calls += 1
        await asyncio.wait_for(self.released.wait(), timeout)
        if not self.alive:
            raise ServerDied("It died.")
        return ToolResult([], {"name": name, **arguments}, is_error=False, duration_ms=1)

    async def request(
        self,
        method: str,
        params: dict[str, Any],
        *,
        timeout: float,  # noqa: ASYNC109 - as above
        relay: Relay | None = None,
    ) -> Raw:
        raise AssertionError(method)

    async def ping(self, timeout: float) -> None:  # noqa: ASYNC109 - as above
        assert timeout > 0

    async def close(self) -> None:
        self.closed += 1
        self.alive = False


class Opener:
    def __init__(self) -> None:
        self.sessions: list[MemorySession] = []
        self.eras: list[Era | None] = []
        self.starts = 0
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, launch: LaunchSpec, opening: Opening) -> MemorySession:
        assert isinstance(launch, StdioLaunch)
        self.starts += 1
        self.eras.append(opening.era)
        if opening.on_notification is not None:
            opening.on_notification("notifications/tools/list_changed", None)
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.sessions.append(MemorySession())
        return self.sessions[-1]


@pytest.fixture
async def opener() -> Opener:
    return Opener()


@pytest.fixture
async def pool(opener: Opener) -> AsyncIterator[SessionPool]:
    bounds = PoolBounds(
        sessions=4,
        sessions_per_tenant=2,
        calls_in_flight=3,
        calls_waiting=5,
        idle_s=0.2,
        reap_interval_s=0.02,
        evict_drain_s=0.5,
        restart_delay_s=0.05,
        restart_delay_max_s=0.1,
    )
    async with SessionPool(opener, bounds) as made:
        yield made


def key(tenant: UUID = TENANT, version: int = 1) -> SessionKey:
    return SessionKey(tenant, uuid4(), version)


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_hundred_callers_cause_one_start(pool: SessionPool, opener: Opener) -> None:
    opener.gate.clear()
    one = key()
    callers = [asyncio.create_task(pool.session(one, LAUNCH)) for _ in range(100)]
    await asyncio.sleep(0.01)
    callers[0].cancel()
    opener.gate.set()
    sessions = await asyncio.gather(*callers[1:])
    assert opener.starts == 1
    assert (await sessions[0].call_tool("x", {"a": 1}, timeout=1)).structured == {"name": "x", "a": 1}


async def test_a_failed_start_fails_every_waiter_once(pool: SessionPool, opener: Opener) -> None:
    opener.failure = ServerUnavailable("broken")
    opener.gate.clear()
    one = key()
    callers = [asyncio.create_task(pool.session(one, LAUNCH)) for _ in range(10)]
    await asyncio.sleep(0.01)
    opener.gate.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert all(isinstance(result, ServerUnavailable) for result in results)
    assert opener.starts == 1


async def test_keys_do_not_share(pool: SessionPool, opener: Opener) -> None:
    one = key()
    await pool.session(one, LAUNCH)
    await pool.session(one, LAUNCH)
    await pool.session(SessionKey(uuid4(), one.server_id, one.version), LAUNCH)
    await pool.session(SessionKey(one.tenant_id, one.server_id, 2), LAUNCH)
    assert opener.starts == 3


async def test_a_dead_session_is_replaced_and_the_failed_call_is_not_repeated(
    pool: SessionPool, opener: Opener
) -> None:
    session = await pool.session(key(), LAUNCH)
    first = opener.sessions[0]
    first.released.clear()
    call = asyncio.create_task(session.call_tool("x", {}, timeout=5))
    await until(lambda: first.calls == 1)
    first.alive = False
    first.released.set()
    with pytest.raises(ServerDied):
        await call
    assert not session.alive
    await session.call_tool("x", {}, timeout=5)
    assert session.alive
    assert [made.calls for made in opener.sessions] == [1, 1]
    assert opener.eras == [None, "modern"]
    await until(lambda: first.closed == 1)


async def test_starts_back_off(pool: SessionPool, opener: Opener) -> None:
    opener.failure = ServerUnavailable("broken")
    one = key()
    for _ in range(2):
        with pytest.raises(ServerUnavailable, match="broken"):
            await pool.session(one, LAUNCH)
    with pytest.raises(ServerUnavailable, match="failed 2 times") as waiting:
        await pool.session(one, LAUNCH)
    assert waiting.value.retry_after is not None
    assert 0 < waiting.value.retry_after <= 0.05
    assert opener.starts == 2
    opener.failure = None
    await asyncio.sleep(0.06)
    assert (await pool.session(one, LAUNCH)).alive
    (state,) = [state for state in pool.states() if state.key == one]
    assert (state.starts, state.failures, state.retry_after_s) == (1, 2, 0.0)


async def test_a_refused_command_does_not_back_off(pool: SessionPool, opener: Opener) -> None:
    opener.failure = CommandNotAllowed("no")
    one = key()
    for _ in range(3):
        with pytest.raises(CommandNotAllowed):
            await pool.session(one, LAUNCH)
    assert opener.starts == 3


async def test_calls_in_flight_are_bounded(pool: SessionPool, opener: Opener) -> None:
    session = await pool.session(key(), LAUNCH)
    made = opener.sessions[0]
    made.released.clear()
    calls = [asyncio.create_task(session.call_tool("x", {"n": n}, timeout=5)) for n in range(8)]
    await asyncio.sleep(0.02)
    assert made.calls == 3
    with pytest.raises(ServerBusy):
        await session.call_tool("x", {}, timeout=5)
    made.released.set()
    results = await asyncio.gather(*calls)
    assert [result.structured for result in results] == [{"name": "x", "n": n} for n in range(8)]


async def test_no_turn_in_time_is_busy_and_nothing_was_sent(pool: SessionPool, opener: Opener) -> None:
    session = await pool.session(key(), LAUNCH)
    made = opener.sessions[0]
    made.released.clear()
    calls = [asyncio.create_task(session.call_tool("x", {}, timeout=5)) for _ in range(3)]
    await asyncio.sleep(0.01)
    with pytest.raises(ServerBusy):
        await session.call_tool("x", {}, timeout=0.02)
    assert made.calls == 3
    made.released.set()
    await asyncio.gather(*calls)


async def test_idle_sessions_are_closed_and_busy_ones_are_not(pool: SessionPool, opener: Opener) -> None:
    idle = await pool.session(key(), LAUNCH)
    busy = await pool.session(key(), LAUNCH)
    opener.sessions[1].released.clear()
    call = asyncio.create_task(busy.call_tool("x", {}, timeout=5))
    await until(lambda: opener.sessions[0].closed == 1)
    assert not idle.alive
    assert opener.sessions[1].closed == 0
    opener.sessions[1].released.set()
    await call
    with pytest.raises(ServerUnavailable, match="anew"):
        await idle.call_tool("x", {}, timeout=1)


async def test_a_death_while_nobody_calls_is_noticed(pool: SessionPool, opener: Opener) -> None:
    await pool.session(key(), LAUNCH)
    opener.sessions[0].alive = False
    await until(lambda: opener.sessions[0].closed == 1)
    assert pool.states()[0].failures == 1


async def test_a_tenants_cap_closes_its_longest_unused_session(pool: SessionPool, opener: Opener) -> None:
    first, second, third = key(), key(), key()
    await pool.session(first, LAUNCH)
    await pool.session(second, LAUNCH)
    await pool.session(first, LAUNCH)
    await pool.session(third, LAUNCH)
    assert {state.key for state in pool.states()} == {first, third}
    await until(lambda: opener.sessions[1].closed == 1)


async def test_a_tenants_cap_refuses_when_all_are_at_work(pool: SessionPool, opener: Opener) -> None:
    calls = []
    for number in range(2):
        session = await pool.session(key(), LAUNCH)
        opener.sessions[number].released.clear()
        calls.append(asyncio.create_task(session.call_tool("x", {}, timeout=5)))
    await asyncio.sleep(0.01)
    with pytest.raises(ServerBusy, match="tenant"):
        await pool.session(key(), LAUNCH)
    assert (await pool.session(key(uuid4()), LAUNCH)).alive
    for made in opener.sessions:
        made.released.set()
    await asyncio.gather(*calls)


async def test_the_whole_cap_makes_room_among_all_tenants(pool: SessionPool, opener: Opener) -> None:
    for _ in range(5):
        await pool.session(key(uuid4()), LAUNCH)
    await until(lambda: sum(made.closed for made in opener.sessions) == 1)
    assert len(pool.states()) == 4


async def test_eviction_lets_running_calls_finish(pool: SessionPool, opener: Opener) -> None:
    one = key()
    session = await pool.session(one, LAUNCH)
    made = opener.sessions[0]
    made.released.clear()
    call = asyncio.create_task(session.call_tool("x", {}, timeout=5))
    await until(lambda: made.calls == 1)
    evicting = asyncio.create_task(pool.evict(one))
    await asyncio.sleep(0.05)
    assert made.closed == 0
    with pytest.raises(ServerUnavailable):
        await session.call_tool("x", {}, timeout=1)
    made.released.set()
    assert (await call).structured == {"name": "x"}
    await evicting
    assert made.closed == 1
    assert (await pool.session(one, LAUNCH)).alive
    assert opener.starts == 2


async def test_another_launch_for_the_same_key_is_another_session(pool: SessionPool, opener: Opener) -> None:
    one = key()
    await pool.session(one, LAUNCH)
    await pool.session(one, StdioLaunch("server", env={"TOKEN": "new"}))
    assert opener.starts == 2
    await until(lambda: opener.sessions[0].closed == 1)


async def test_closing_closes_all_and_starts_nothing_more(pool: SessionPool, opener: Opener) -> None:
    one = key()
    session = await pool.session(one, LAUNCH)
    opener.gate.clear()
    starting = asyncio.create_task(pool.session(key(), LAUNCH))
    await asyncio.sleep(0.01)
    await pool.close()
    assert opener.sessions[0].closed == 1
    with pytest.raises(ServerUnavailable):
        await starting
    with pytest.raises(ServerUnavailable):
        await session.call_tool("x", {}, timeout=1)
    with pytest.raises(ServerUnavailable):
        await pool.session(key(), LAUNCH)


async def test_a_start_that_ends_after_its_eviction_leaves_nothing_open(pool: SessionPool, opener: Opener) -> None:
    one = key()
    opener.gate.clear()
    caller = asyncio.create_task(pool.session(one, LAUNCH))
    await asyncio.sleep(0.01)
    await pool.evict(one)
    opener.gate.set()
    assert not (await caller).alive
    await until(lambda: opener.sessions[0].closed == 1)


async def test_notices_come_with_the_key_of_their_session(opener: Opener) -> None:
    notices: list[Any] = []
    one = key()
    async with SessionPool(opener, on_notice=lambda *notice: notices.append(notice)) as pool:
        await pool.session(one, LAUNCH)
    assert notices == [(one, "notifications/tools/list_changed", None)]


async def test_the_time_of_a_start_is_no_idle_time() -> None:
    place = Place(SessionKey(TENANT, uuid4(), 1), LAUNCH, PoolBounds(), 100.0, None)
    place.started(MemorySession(), now=130.0)
    assert place.last_used == 130.0
