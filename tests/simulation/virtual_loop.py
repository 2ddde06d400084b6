"""An event loop on virtual time. What is ready runs in an order that the seed draws; when nothing is, time jumps.

Each callback belongs to the process in whose context it was made. A process that was killed runs nothing any more: its
callbacks are set aside, whatever they were about to do, `finally` clauses included, as `kill -9` has it.
"""

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

CALLBACKS_WITHOUT_TIME = 20_000
"""So many callbacks at one moment are a loop that waits for nothing."""
UNWINDINGS = 10


class Life:
    """A process, as long as it lives. `context` is what its callbacks run in."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.context = Context()
        self.context.run(LIFE.set, self)


LIFE: ContextVar[Life | None] = ContextVar("life", default=None)


class Livelock(Exception):
    """Something runs on and on without waiting."""


class VirtualLoop(asyncio.AbstractEventLoop):
    """As much of an event loop as code needs that reaches nothing outside of the process.

    `disorder` is how likely a callback other than the first runs next, `stall` how likely time passes before it, as
    when a process is not scheduled; both may be changed while it runs.
    """

    def __init__(self, random: Random, disorder: float = 0.0, stall: float = 0.0) -> None:
        self.disorder = disorder
        self.stall = stall
        self.faults: list[str] = []
        self.lives: list[Life] = []
        self._random = random
        self._time = 0.0
        self._ready: list[asyncio.Handle] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timer = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self._aside: list[asyncio.Handle] = []
        self._at_once = 0

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run until `main` is done, then unwind whatever else is left."""
        asyncio.events._set_running_loop(self)
        try:
            task = self.create_task(main)
            while not task.done():
                self._turn()
            return task.result()
        finally:
            self._unwind()
            asyncio.events._set_running_loop(None)

    def time(self) -> float:
        return self._time

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._time + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._timer += 1
        heapq.heappush(self._timers, (when, self._timer, handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.faults.append(f"{context.get('message')}: {context.get('exception')!r}")

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is dropped when its time comes."""

    def _turn(self) -> None:
        handle = self._next()
        if handle is None or handle.cancelled():
            return
        life = handle._context.get(LIFE)
        if life is not None and life.dead:
            self._aside.append(handle)
        else:
            handle._run()

    def _next(self) -> asyncio.Handle | None:
        ready, timers = self._ready, self._timers
        if self.stall and self._random.random() < self.stall:
            self._pass(self._time + self._random.choice((0.001, 0.05, 0.7, 4.0)))
        elif not ready:
            if not timers:
                raise Livelock("everything waits, and nothing will ever come")
            self._pass(timers[0][0])
        while timers and timers[0][0] <= self._time:
            ready.append(heapq.heappop(timers)[2])
        if not ready:
            return None
        self._at_once += 1
        if self._at_once > CALLBACKS_WITHOUT_TIME:
            raise Livelock(f"{CALLBACKS_WITHOUT_TIME:,} callbacks at one moment, such as {ready[0]!r}")
        if len(ready) > 1 and self.disorder and self._random.random() < self.disorder:
            return ready.pop(self._random.randrange(len(ready)))
        return ready.pop(0)

    def _pass(self, when: float) -> None:
        if when > self._time:
            self._time = when
            self._at_once = 0

    def _unwind(self) -> None:
        """Let every task come to its end, those of killed processes too, so that none is left half-way."""
        self.disorder = self.stall = 0.0
        self._ready = self._aside + self._ready
        self._aside = []
        for life in self.lives:
            life.dead = False
        for _ in range(UNWINDINGS):
            self._at_once = 0
            unfinished = [task for task in self._tasks if not task.done()]
            for task in unfinished:
                task.cancel()
            while self._ready:
                self._turn()
            if not unfinished:
                return
        raise Livelock(f"tasks that cannot be cancelled: {unfinished}")
