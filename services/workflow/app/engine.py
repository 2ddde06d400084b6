"""The engine's loop: take what is queued, decide, write one statement, publish, answer.

One loop owns every state, so there is nothing to lock. Whatever queues up during a commit is the next batch: alone, a
result is handled at once; under load a commit carries hundreds. Nothing is published or answered before its commit.
The next batch is decided while the last one is being written; what concerns an execution of a batch on its way waits
for that batch.

It decides the executions of the partitions that it was given (`app/partitions.py` says which), and only while its lease
is valid. Whatever is for another partition goes to where that is decided.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

from services.workflow.app.batch import Batch
from services.workflow.app.clock import Clock, now_ms
from services.workflow.app.fair_queue import FairQueue
from services.workflow.app.family import Orphan
from services.workflow.app.following import Following
from services.workflow.app.held import Held, Leaving
from services.workflow.app.items import ANSWERED, Accepted, ControlItem, Item, ResultItem, StartItem, WakeItem
from services.workflow.app.ports import OUTAGES, Routes, TransitionStore
from services.workflow.app.recording import Recorder
from services.workflow.app.states import States
from services.workflow.app.tracking import Tracking
from services.workflow.errors import EngineBusy, PartitionMoving
from services.workflow.limits import (
    ENGINE_BATCH,
    ENGINE_BATCHES_WRITING,
    ENGINE_MAX_QUEUED,
    ENGINE_STOP_S,
    MOVING_RETRY_S,
    SWEEP_S,
)
from services.workflow.metrics import EngineMetrics
from shared.bus.tasks import TaskResult

_log = logging.getLogger(__name__)


class Engine:
    """Runs executions. `start`, `control` and `results` may be called from any task of the event loop."""

    def __init__(
        self,
        store: TransitionStore,
        states: States,
        tracking: Tracking,
        recorder: Recorder,
        metrics: EngineMetrics,
        routes: Routes,
        clock: Clock = now_ms,
    ) -> None:
        self._clock = clock
        self._states = states
        self._tracking = tracking
        self._recorder = recorder
        self._metrics = metrics
        self._routes = routes
        self._held = Held()
        self._queue = FairQueue()
        self._wake = asyncio.Event()
        self._writing: set[asyncio.Task[None]] = set()
        self._behind: dict[UUID, list[Item]] = {}
        """By execution of a batch on its way: what waits for that."""
        self._suspects: list[Item] = []
        self._outage = False
        self._time = 0
        self._following = Following(store, states, tracking, self._held, self._now)

    async def start(self, item: StartItem) -> Accepted:
        """Start an execution; return once that is durable.

        Raises `EngineBusy` when too much is queued, `PartitionMoving` if it is not decided here.
        """
        return await self._submit(item, item.done)

    async def control(self, item: ControlItem) -> Accepted:
        """Tell an execution something; return once that is durable.

        Raises `NotFound`, what `start` does, and what the execution refuses.
        """
        return await self._submit(item, item.done)

    def results(self, results: list[TaskResult]) -> list[TaskResult]:
        """Take workers' answers and heartbeats; return those of executions that are not decided here."""
        now = self._clock()
        astray: list[TaskResult] = []
        for result in results:
            if not self._held.has(result.execution_id):
                arriving = self._held.expected(result.execution_id)
                if arriving is None:
                    astray.append(result)
                elif result.status != "running":
                    arriving.append(ResultItem(result.execution_id, result))
            elif result.status == "running":
                self._tracking.heard(result.execution_id, result.step_path, result.attempt, now + result.quiet_ms)
            else:
                self._queue.append(ResultItem(result.execution_id, result))
        self._wake.set()
        return astray

    def takes(self, execution_id: UUID) -> bool:
        """Return whether this execution is decided here, or is about to be."""
        return self._held.has(execution_id) or self._held.expected(execution_id) is not None

    def may_act_until(self, until: float) -> None:
        """Decide until then, in seconds of the monotonic clock, and no longer unless it is said again."""
        if self._held.renewed(until):
            self._wake.set()

    def adopt(self, partitions: Collection[int], *, handed: bool) -> asyncio.Future[None]:
        """Take up the open executions of partitions and decide them; the future is done when that has begun.

        `handed`: their tasks are known to be out. Else they are sent again.
        """
        adoption = self._held.arrive(partitions, self._now() if handed else 0)
        self._wake.set()
        return adoption.done

    def close(self, partitions: Collection[int]) -> None:
        """Begin nothing more for these partitions."""
        for item in self._held.leave(partitions):
            self._turn_away(item)

    async def drop(self, partitions: Collection[int]) -> None:
        """Begin nothing more for them; return when what was begun is recorded and nothing of them is known."""
        self.close(partitions)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held.leaving.append(Leaving(frozenset(partitions), done))
        self._wake.set()
        await done

    async def run(self) -> None:
        """Run until cancelled. Raises what ended the sweep: without it no task is sent again and no deadline kept."""
        sweeping = asyncio.create_task(self._sweep())
        sweeping.add_done_callback(lambda _: self._wake.set())
        try:
            while not sweeping.done():
                await self._step()
            await sweeping
        finally:
            sweeping.cancel()
            if self._writing:
                await asyncio.wait(self._writing, timeout=ENGINE_STOP_S)
            await asyncio.gather(sweeping, return_exceptions=True)

    async def orphans(self) -> list[Orphan]:
        """Return the open children of this process whose parents no longer need them, as is recorded."""
        return await self._following.orphans()

    async def _submit(self, item: Item, done: asyncio.Future[Accepted]) -> Accepted:
        if len(self._queue) >= ENGINE_MAX_QUEUED:
            raise EngineBusy("The engine is behind by too many commands.", retry_after=1)
        if self._outage or self._held.lapsed():
            raise _away()
        arriving = None if self._held.has(item.execution_id) else self._held.expected(item.execution_id)
        if arriving is None and not self._held.has(item.execution_id):
            raise _moving()
        (self._queue if arriving is None else arriving).append(item)
        self._wake.set()
        return await done

    def _now(self) -> int:
        """Return the time, which never steps back: what was due once stays due."""
        self._time = max(self._time, self._clock())
        return self._time

    async def _step(self) -> None:
        if self._outage or self._suspects or self._held.leaving or self._now() >= self._following.look_again_at:
            if self._writing:
                await asyncio.wait(self._writing)
            elif self._outage:
                await self._recover()
            elif self._held.leaving:
                self._forget(self._held.leaving.popleft())
            elif self._held.lapsed():
                await self._woken(SWEEP_S)  # what was begun is still being written
            elif self._suspects:
                await self._handle_suspects()
            else:
                await self._look_again()
        elif self._held.lapsed():
            await self._woken(SWEEP_S)  # what was begun is still being written
        else:
            await self._go_on()

    async def _go_on(self) -> None:
        if self._following.has_more:  # a page, then a turn of the others, then the next page
            await self._follow()
        if len(self._writing) >= ENGINE_BATCHES_WRITING:
            await asyncio.wait(self._writing, return_when=asyncio.FIRST_COMPLETED)
        elif items := self._take():
            await self._turn(items)
        elif not self._following.has_more:
            await self._wait()

    async def _follow(self) -> None:
        try:
            self._queue.extend(await self._following.next_page(self._behind))
        except OUTAGES as error:
            self._interrupted([], error)

    def _forget(self, leaving: Leaving) -> None:
        gone = leaving.partitions - self._held.open
        self._states.forget_partitions(gone)
        self._tracking.forget_partitions(gone)
        queued, self._queue = self._queue, FairQueue()
        for item in queued:
            if self._held.has(item.execution_id):
                self._queue.append(item)
            else:
                self._turn_away(item)
        if not leaving.done.done():
            leaving.done.set_result(None)

    def _turn_away(self, item: Item) -> None:
        """Pass on what is decided elsewhere: results to there, commands to whoever sent them."""
        if isinstance(item, ResultItem):
            self._routes.forward([item.result])
        elif not isinstance(item, WakeItem) and not item.done.done():
            item.done.set_exception(_moving())

    async def _wait(self) -> None:
        """Return when there may be something to do: something came, or falls due."""
        again_at = self._following.look_again_at
        due = min(self._tracking.next_due() or again_at, again_at)
        await self._woken(max(0.0, (due - self._now()) / 1000))

    async def _woken(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass  # something is due
        self._wake.clear()

    def _take(self) -> list[Item]:
        # Looked at each time: under load the queue is never empty, and what is due is due all the same.
        self._queue.extend(WakeItem(i, []) for i in self._tracking.pop_due(self._now()))
        items: list[Item] = []
        while self._queue and len(items) < ENGINE_BATCH:
            item = self._queue.popleft()
            if not self._held.has(item.execution_id):
                self._turn_away(item)
                continue
            waiting = self._behind.get(item.execution_id)
            (items if waiting is None else waiting).append(item)
        return items

    async def _turn(self, items: list[Item]) -> None:
        try:
            batch = await self._decide(items)
        except OUTAGES as error:
            self._interrupted(items, error)
        except Exception:  # noqa: BLE001 - a bug in one item: each is handled by itself
            _log.exception("a batch of %d items failed", len(items))
            self._suspect(items)
        else:
            for execution_id in batch.decided:
                self._behind[execution_id] = []
            writing = asyncio.create_task(self._write(batch))
            self._writing.add(writing)
            writing.add_done_callback(self._written)

    async def _decide(self, items: list[Item]) -> Batch:
        believed_new = {item.execution_id for item in items if isinstance(item, StartItem) and item.known_new}
        states = await self._states.load(dict.fromkeys(item.execution_id for item in items), believed_new)
        batch = Batch(states, self._now())
        for item in items:
            await batch.take(item, self._states.programs)
        return batch

    async def _write(self, batch: Batch) -> None:
        try:
            again = await self._recorder.record(batch)
        except OUTAGES as error:
            self._interrupted(batch.items(), error)
            again = []
        except Exception:  # noqa: BLE001 - as in `_turn`
            _log.exception("a batch of %d executions could not be written", len(batch.decided))
            self._suspect(batch.items())
            again = []
        for execution_id in batch.decided:
            again += self._behind.pop(execution_id)
        self._queue.extendleft(reversed(again))

    def _written(self, writing: asyncio.Task[None]) -> None:
        self._writing.discard(writing)
        self._wake.set()

    def _suspect(self, items: list[Item]) -> None:
        for item in items:
            self._states.forget(item.execution_id)
        self._suspects += items

    async def _handle_suspects(self) -> None:
        """Find the item that cannot be handled: it is a bug, and must not take its neighbours with it."""
        suspects, self._suspects = self._suspects, []
        for place, item in enumerate(suspects):
            if not self._held.has(item.execution_id):
                self._turn_away(item)
                continue
            try:
                self._queue.extend(await self._recorder.record(await self._decide([item])))
            except OUTAGES as error:
                self._interrupted(suspects[place:], error)
                return
            except Exception as error:  # noqa: BLE001 - a bug: whoever waits is told, the engine goes on
                _log.exception("a %s of the execution %s was dropped", type(item).__name__, item.execution_id)
                self._metrics.dropped_items.inc()
                self._states.forget(item.execution_id)
                if isinstance(item, ANSWERED) and not item.done.done():
                    item.done.set_exception(error)
                elif isinstance(item, WakeItem):
                    self._tracking.open.pop(item.execution_id, None)  # else it would be woken again and again

    def _interrupted(self, items: list[Item], error: BaseException) -> None:
        """The database went away, and whether the commit happened is unknown."""
        _log.warning("the engine pauses: %s: %s", type(error).__name__, error)
        self._metrics.failed_batches.inc()
        self._queue.extendleft(reversed(items))
        self._outage = True

    async def _recover(self) -> None:
        """Tell who waits, and go on from what the log says once it can be read."""
        kept = FairQueue()
        for item in self._queue:
            if isinstance(item, ResultItem):
                kept.append(item)
            elif not isinstance(item, WakeItem) and not item.done.done():
                item.done.set_exception(_away())
        self._queue = kept
        await asyncio.sleep(SWEEP_S)
        await self._following.start_over()
        self._outage = False

    async def _look_again(self) -> None:
        try:
            await self._following.look_again()
        except OUTAGES as error:
            self._interrupted([], error)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            if len(self._queue) >= ENGINE_MAX_QUEUED or self._held.lapsed():
                continue  # what was found the last time is still in it, or another process is looking
            now = self._clock()
            lost: dict[UUID, list[str]] = defaultdict(list)
            for execution_id, paths in self._tracking.overdue(now):
                lost[execution_id] += paths
                self._tracking.sent_again(execution_id, paths, now)
            self._queue.extend(WakeItem(execution_id, paths) for execution_id, paths in lost.items())
            if lost:
                self._wake.set()


def _moving() -> PartitionMoving:
    return PartitionMoving("The execution is just going to another process: try again.", retry_after=MOVING_RETRY_S)


def _away() -> EngineBusy:
    return EngineBusy("The event store does not answer: try again.", retry_after=1)
