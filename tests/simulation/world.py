"""One simulated run: everything that its parts share."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from contextvars import Context
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from services.workflow.domain.events import EXECUTION_EVENTS, StepScheduled
from services.workflow.domain.language.program import Program
from shared.eventstore.catalogue import DomainEvent
from tests.simulation.virtual_loop import VirtualLoop
from tests.simulation.weather import Weather
from tests.unit.workflow_engine.engine_parts import Written

if TYPE_CHECKING:
    from tests.simulation.processes import Process

T = TypeVar("T")

EPOCH_MS = 1_800_000_000_000
TENANT = UUID(int=7)


class World:
    """What exists beside the processes: time, the log, the definitions, and a record of what went on."""

    def __init__(self, seed: int, programs: list[Program], *, traced: bool = False) -> None:
        self.random = Random(seed)
        self.weather = Weather(self.random)
        self.loop = VirtualLoop(self.random, self.weather.disorder, self.weather.stall)
        self.written = Written()
        self.programs = programs
        self.outside = Context()
        """What belongs to no process runs in it."""
        self.processes: list[Process] = []
        self.violations: list[str] = []
        self.trace: list[tuple[float, str]] | None = [] if traced else None
        self.answers: dict[str, list[Any]] = defaultdict(list)
        """By task: what its workers answered with."""
        self.effects: dict[str, int] = defaultdict(int)
        """By task, which is its idempotency key: how often a worker did it."""

    def note(self, what: str) -> None:
        """Keep a line of the story, if somebody wants to read it."""
        if self.trace is not None:
            self.trace.append((self.loop.time(), what))

    def violated(self, what: str) -> None:
        """Something happened that never may."""
        if what not in self.violations:
            self.violations.append(what)
            self.note(f"VIOLATED: {what}")

    def now_ms(self) -> int:
        return EPOCH_MS + int(self.loop.time() * 1000)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something that belongs to no process: no crash ends it."""
        return self.loop.create_task(work, context=Context())

    async def elsewhere(self, work: Coroutine[Any, Any, T]) -> T:
        """Have something done outside of the process that asks, which may be killed meanwhile."""
        task = self.spawn(work)
        task.add_done_callback(_taken_note_of)
        return await task

    def living(self) -> "list[Process]":
        return [process for process in self.processes if not process.life.dead]

    def events(self, execution_id: UUID) -> list[DomainEvent]:
        return [EXECUTION_EVENTS.decode(e.type, e.data) for e in self.written.log.stream(execution_id)]

    def scheduled(self, execution_id: UUID) -> set[tuple[str, int]]:
        """Return the attempts that workers were to be asked for."""
        wanted = EXECUTION_EVENTS.decode
        stream = self.written.log.stream(execution_id)
        found = (wanted(e.type, e.data) for e in stream if e.type == StepScheduled.TYPE)
        return {(event.path, event.attempt) for event in found if isinstance(event, StepScheduled)}

    def version(self, execution_id: UUID) -> int:
        stream = self.written.log.stream(execution_id)
        return stream[-1].version if stream else 0

    def short(self, execution_id: UUID) -> str:
        """Return a name of an execution that people can tell from others."""
        return execution_id.hex[-4:]


def _taken_note_of(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
