"""One run: chaos for a while, then calm, then everything has come to an end and nothing that may never happen did."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from uuid import UUID

import msgspec

from services.workflow.app.family import needs
from services.workflow.domain.state import ExecutionState
from tests.simulation.bus import Bus
from tests.simulation.clients import Clients
from tests.simulation.definitions import programs_of
from tests.simulation.invariants import check
from tests.simulation.processes import Process
from tests.simulation.virtual_loop import Livelock
from tests.simulation.workers import Workers
from tests.simulation.world import World
from tests.unit.workflow_engine.engine_parts import Classes

CALM_S = 240.0
"""Within so many virtual seconds after the last fault everything has come to its end."""
SHIPPED = Classes()
_log = logging.getLogger("services.workflow")


class Outcome(msgspec.Struct):
    """What came of a run. `trace` is there if it was asked for: virtual seconds, and what happened."""

    seed: int
    violations: list[str]
    trace: list[tuple[float, str]] | None
    executions: int
    events: int
    effects: int


def simulate(seed: int, classes: Classes = SHIPPED, *, traced: bool = False) -> Outcome:
    """Run one seed."""
    programs = programs_of(seed, Random(seed))
    world = World(seed, programs, traced=traced)
    with _bugs_heard(world):
        run = _Run(world, classes)
        try:
            world.loop.run(run.play())
        except Livelock as error:
            world.violated(f"livelock: {error}")
        except Exception as error:  # noqa: BLE001 - what a bug made of the log may be more than the checks can read
            world.violated(f"the checks broke: {error!r}")
    for fault in world.loop.faults:
        world.violated(fault)
    written = world.written
    events = sum(len(written.log.stream(i)) for i in written.rows)
    return Outcome(seed, world.violations, world.trace, len(written.rows), events, sum(world.effects.values()))


class _Run:
    def __init__(self, world: World, classes: Classes) -> None:
        self._world = world
        self._classes = classes
        self._workers = Workers(world)
        self._clients = Clients(world)
        self._bus = Bus(world, self._workers, self._clients)
        self._workers.publish = self._bus.publish
        self._clients.bus = self._bus
        self._started = 0
        self._restarting = 0
        self._last_fault = world.random.choice((0, 2, 3, 4))
        """The turn of the calm in which all processes but one end for good; 0 for none."""

    async def play(self) -> None:
        world = self._world
        for _ in range(world.random.choice((1, 2, 2, 3))):
            self._start_process()
        for _ in range(world.random.randint(1, 4)):
            world.spawn(self._come(0.0, 1.5))
        for _ in range(world.random.randint(0, 14)):
            world.spawn(self._meddle())
        world.spawn(self._crashes())
        world.spawn(self._outages())
        await asyncio.sleep(world.random.choice((3.0, 6.0, 10.0)))
        world.weather.clear_up()
        world.loop.disorder = world.loop.stall = 0.0
        world.note("it turns calm")
        await self._rest()
        check(world, self._clients)

    async def _rest(self) -> None:
        """Wait until all has ended; do for executions what only somebody outside can do."""
        world, until = self._world, self._world.loop.time() + CALM_S
        turn = 0
        while (open_ := self._open()) or self._restarting or self._bus.unsettled:
            if world.loop.time() > until:
                for state in open_:
                    world.violated(f"{world.short(state.id)} is stuck: {state.status}, open {state.open_paths()}")
                for command in self._bus.unsettled.values():
                    world.violated(f"a command was never settled: {command.message}")
                return
            turn += 1
            if turn == self._last_fault:
                world.spawn(self._leave_one())
            for state in open_:
                parent = state.parent
                if parent is None or state.undoing or needs(self._state(parent.execution_id), parent):
                    await self._clients.help(state.id, state, turn)
            await asyncio.sleep(1.0)

    def _open(self) -> list[ExecutionState]:
        """Return what has not ended."""
        rows = self._world.written.rows
        return [self._clients.state(i) for i, row in rows.items() if row.completed_at is None]

    def _state(self, execution_id: UUID) -> ExecutionState | None:
        return self._clients.state(execution_id) if execution_id in self._world.written.rows else None

    def _start_process(self) -> None:
        self._started += 1
        process = Process(self._world, self._bus, f"P{self._started}", self._classes)
        self._world.processes.append(process)
        process.start()

    async def _come(self, earliest: float, latest: float) -> None:
        await asyncio.sleep(self._world.random.uniform(earliest, latest))
        await self._clients.start()

    async def _meddle(self) -> None:
        await asyncio.sleep(self._world.random.expovariate(0.5))
        await self._clients.meddle()

    async def _crashes(self) -> None:
        world = self._world
        while every := world.weather.crash_every:
            await asyncio.sleep(world.random.expovariate(1.0 / every))
            if world.random.random() < 0.2:
                self._workers.crash()
            elif world.living() and world.weather.crash_every:
                world.random.choice(world.living()).kill()
                if world.living() and world.weather.hits(world.weather.gone_for_good):
                    continue
                world.spawn(self._restart(world.random.choice((0.0, 0.5, 4.0))))

    async def _leave_one(self) -> None:
        """Let the oldest process go on alone, with what it knows of what the others recorded."""
        await asyncio.sleep(self._world.random.expovariate(50.0))
        for process in self._world.living()[1:]:
            process.kill()

    async def _restart(self, after: float) -> None:
        self._restarting += 1
        await asyncio.sleep(after)
        self._start_process()
        self._restarting -= 1

    async def _outages(self) -> None:
        world = self._world
        while every := world.weather.store_away_every:
            await asyncio.sleep(world.random.expovariate(1.0 / every))
            if not world.weather.store_away_every:
                return
            world.note("the store goes away")
            world.weather.store_away = True
            await asyncio.sleep(world.random.uniform(0.1, 4.0))
            world.weather.store_away = False
            world.note("the store is back")


class _Bugs(logging.Handler):
    """What the engine logs as an error is a bug of its own."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._world.violated(f"logged as a bug: {record.getMessage()}: {error!r}")


@contextmanager
def _bugs_heard(world: World) -> Iterator[None]:
    handler, level, up = _Bugs(world), _log.level, _log.propagate
    _log.addHandler(handler)
    _log.setLevel(logging.ERROR)
    _log.propagate = False
    try:
        yield
    finally:
        _log.removeHandler(handler)
        _log.setLevel(level)
        _log.propagate = up
