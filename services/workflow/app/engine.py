"""The engine's loop: take what is queued, decide, write one statement, publish, answer.

One loop owns every state, so there is nothing to lock. Whatever queues up during a commit is the next batch: alone, a
result is handled at once; under load a commit carries hundreds. Nothing is published or answered before its commit.
"""

import asyncio
import logging
import time
from collections import deque

from services.workflow.app.batch import Batch, Decided
from services.workflow.app.items import Accepted, CancelItem, Item, ResultItem, StartItem, WakeItem
from services.workflow.app.ports import OUTAGES, Dispatch, Transition, TransitionStore
from services.workflow.app.recovery import adopt_open_executions
from services.workflow.app.states import States, snapshot_of
from services.workflow.app.tracking import Tracking
from services.workflow.errors import EngineBusy
from services.workflow.limits import ENGINE_BATCH, ENGINE_MAX_QUEUED, SWEEP_S
from services.workflow.metrics import EngineMetrics
from shared.bus.tasks import TaskResult
from shared.limits import SNAPSHOT_EVERY
from shared.tail.waker import Waker

_log = logging.getLogger(__name__)


def _now() -> int:
    return time.time_ns() // 1_000_000


class Engine:
    """Runs executions. `submit_*` may be called from any task of the event loop."""

    def __init__(
        self, store: TransitionStore, states: States, dispatch: Dispatch, waker: Waker, metrics: EngineMetrics
    ) -> None:
        self._store = store
        self._states = states
        self._dispatch = dispatch
        self._waker = waker
        self._metrics = metrics
        self._tracking = Tracking()
        self._queue: deque[Item] = deque()
        self._wake = asyncio.Event()
        self._ready = asyncio.Event()

    async def start(self, item: StartItem) -> Accepted:
        """Start an execution; return once that is durable. Raises `EngineBusy` when too much is queued."""
        return await self._submit(item, item.done)

    async def cancel(self, item: CancelItem) -> Accepted:
        """Cancel an execution; return once that is durable. Raises `NotFound`."""
        return await self._submit(item, item.done)

    def results(self, results: list[TaskResult]) -> None:
        """Take workers' answers and heartbeats."""
        now = _now()
        for result in results:
            if result.status == "running":
                self._tracking.heard(result.execution_id, result.step_path, now)
            else:
                self._queue.append(ResultItem(result.execution_id, result))
        self._wake.set()

    async def run(self) -> None:
        """Take up what an earlier process left open, then run until cancelled."""
        sweeping = asyncio.create_task(self._sweep())
        try:
            await adopt_open_executions(self._store, self._states, self._tracking)
            self._ready.set()
            self._wake.set()
            while True:
                while self._queue:
                    await self._turn()
                await self._wait()
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)

    async def check_ready(self) -> None:
        """Raise unless what earlier processes left open was taken up."""
        if not self._ready.is_set():
            raise EngineBusy("The engine is still taking up open executions.", retry_after=1)

    async def _submit(self, item: Item, done: asyncio.Future[Accepted]) -> Accepted:
        if len(self._queue) >= ENGINE_MAX_QUEUED:
            raise EngineBusy("The engine is behind by too many commands.", retry_after=1)
        self._queue.append(item)
        self._wake.set()
        return await done

    async def _wait(self) -> None:
        due = self._tracking.next_due()
        try:
            async with asyncio.timeout(None if due is None else max(0.0, (due - _now()) / 1000)):
                await self._wake.wait()
        except TimeoutError:
            pass  # something is due
        self._wake.clear()
        self._queue.extend(WakeItem(i, []) for i in self._tracking.pop_due(_now()))

    async def _turn(self) -> None:
        items = [self._queue.popleft() for _ in range(min(ENGINE_BATCH, len(self._queue)))]
        try:
            await self._handle(items)
        except OUTAGES as error:
            await self._after_outage(items, error)
        except Exception:  # noqa: BLE001 - a bug in one item: the others are handled, each by itself
            _log.exception("a batch of %d items failed", len(items))
            self._states.clear()
            for item in items:
                await self._handle_alone(item)

    async def _handle(self, items: list[Item]) -> None:
        believed_new = {item.execution_id for item in items if isinstance(item, StartItem) and item.known_new}
        states = await self._states.load(dict.fromkeys(item.execution_id for item in items), believed_new)
        batch = Batch(states, self._tracking, _now())
        for item in items:
            await batch.take(item, self._states.programs)
        await self._record(batch)

    async def _handle_alone(self, item: Item) -> None:
        """Find the item that cannot be handled: it is a bug, and must not take its neighbours with it."""
        try:
            await self._handle([item])
        except OUTAGES as error:
            await self._after_outage([item], error)
        except Exception as error:  # noqa: BLE001 - a bug: whoever waits is told, the engine goes on
            _log.exception("%r was dropped", item)
            self._metrics.dropped_items.inc()
            self._states.forget(item.execution_id)
            if isinstance(item, StartItem | CancelItem) and not item.done.done():
                item.done.set_exception(error)

    async def _after_outage(self, items: list[Item], error: BaseException) -> None:
        """The database went away, and whether the commit happened is unknown: read what the log says, and go on."""
        _log.warning("the engine pauses: %s: %s", type(error).__name__, error)
        self._metrics.failed_batches.inc()
        for item in items:
            if isinstance(item, StartItem | CancelItem) and not item.done.done():
                item.done.set_exception(EngineBusy("The event store does not answer: try again.", retry_after=1))
        self._queue.extendleft(item for item in reversed(items) if isinstance(item, ResultItem))
        self._states.clear()
        self._tracking.clear()
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await adopt_open_executions(self._store, self._states, self._tracking)
            except OUTAGES as again:
                _log.warning("the engine waits for the event store: %s", again)
            else:
                return

    async def _record(self, batch: Batch) -> None:
        decided = [d for d in batch.decided.values() if d.transition.events]
        position = 0
        lost: list[Transition] = []
        if decided:
            began = time.perf_counter()
            position, lost = await self._store.record([d.transition for d in decided])
            self._metrics.commit_seconds.observe(time.perf_counter() - began)
            self._metrics.batch_events.observe(sum(len(d.transition.events) for d in decided))
        late = {id(transition) for transition in lost}
        for unit in batch.decided.values():
            if id(unit.transition) in late:
                self._states.forget(unit.state.id)
                for item in unit.items:
                    if isinstance(item, StartItem):
                        item.known_new = False
                self._queue.extend(unit.items)  # decided again on what the other writer recorded
            else:
                self._settle(unit, position)
        tasks = [task for d in batch.decided.values() if id(d.transition) not in late for task in d.tasks]
        if tasks:
            await self._dispatch.send(tasks)
        if decided:
            self._waker.wake(facts=any(d.facts for d in decided))
        await self._snapshot([d for d in decided if id(d.transition) not in late])

    def _settle(self, unit: Decided, position: int) -> None:
        state = unit.state
        if any(isinstance(item, WakeItem) for item in unit.items):
            self._tracking.hold_against(state)
        if unit.events:
            self._tracking.follow(state.id, unit.events, state.status, _now())
        self._states.keep(state)
        for item in unit.items:
            if isinstance(item, StartItem | CancelItem) and not item.done.done():
                item.done.set_result(Accepted(state.id, state.status, state.version, position))

    async def _snapshot(self, recorded: list[Decided]) -> None:
        for unit in recorded:
            version = unit.state.version
            if version // SNAPSHOT_EVERY > (version - len(unit.events)) // SNAPSHOT_EVERY:
                await self._store.save_snapshot(snapshot_of(unit.state))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            now = _now()
            for execution_id, lost, late in list(self._tracking.overdue(now)):
                if lost or late:
                    self._queue.append(WakeItem(execution_id, lost))
                    for path in lost:
                        self._tracking.heard(execution_id, path, now)
            if self._queue:
                self._wake.set()
