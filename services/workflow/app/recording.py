"""Writes what a batch decided, then does what may be done once that is durable: publish, answer, wake the tails."""

import logging
import time

from services.workflow.app.batch import Batch, Decided
from services.workflow.app.clock import Clock, now_ms
from services.workflow.app.items import ANSWERED, Accepted, Item, StartItem
from services.workflow.app.ports import OUTAGES, Dispatch, TransitionStore
from services.workflow.app.states import States, snapshot_of
from services.workflow.app.tracking import Tracking
from services.workflow.domain.state import ExecutionState
from services.workflow.metrics import EngineMetrics
from shared.bus.tasks import Task
from shared.limits import SNAPSHOT_EVERY
from shared.tail.waker import Waker

_log = logging.getLogger(__name__)


def _is_open(state: ExecutionState, task: Task) -> bool:
    """Whether a worker is still wanted: what came later in the same batch may have ended the step."""
    return task.step_path in state.open_tasks and state.steps[task.step_path].attempt == task.attempt


class Recorder:
    """The only way from a decision to the log."""

    def __init__(
        self,
        store: TransitionStore,
        states: States,
        tracking: Tracking,
        dispatch: Dispatch,
        waker: Waker,
        metrics: EngineMetrics,
        clock: Clock = now_ms,
        snapshot_every: int = SNAPSHOT_EVERY,
    ) -> None:
        self._clock = clock
        self._snapshot_every = snapshot_every
        self._store = store
        self._states = states
        self._tracking = tracking
        self._dispatch = dispatch
        self._waker = waker
        self._metrics = metrics

    async def record(self, batch: Batch) -> list[Item]:
        """Write a batch in one statement. Return the items to be decided again: another writer was ahead of them."""
        decided = [unit for unit in batch.decided.values() if unit.transition.events]
        position, late = 0, frozenset[int]()
        if decided:
            began = time.perf_counter()
            position, lost = await self._store.record([unit.transition for unit in decided])
            late = frozenset(id(transition) for transition in lost)
            self._metrics.commit_seconds.observe(time.perf_counter() - began)
            self._metrics.batch_events.observe(sum(len(unit.transition.events) for unit in decided))
        again: list[Item] = []
        recorded: list[Decided] = []
        for unit in batch.decided.values():
            if id(unit.transition) in late:
                again += self._gave_way(unit)
            else:
                self._settle(unit, position)
                recorded.append(unit)
        tasks = [task for unit in recorded for task in unit.tasks if _is_open(unit.state, task[1])]
        if tasks:
            await self._dispatch.send(tasks)
        ends = [unit.ended for unit in recorded if unit.ended is not None]
        orphans = [orphan for unit in recorded for orphan in unit.orphans]
        if ends or orphans:
            await self._dispatch.tell_family(ends, orphans)
        if decided:
            self._waker.wake(facts=any(unit.facts for unit in decided))
        for unit in recorded:
            if self._passed_a_snapshot(unit):
                await self._save_snapshot(unit.state)
        return again

    async def _save_snapshot(self, state: ExecutionState) -> None:
        """Save what spares a long fold. What was decided is recorded: without this it only takes longer to load."""
        try:
            await self._store.save_snapshot(snapshot_of(state))
        except OUTAGES as error:
            _log.warning("no snapshot of the execution %s is saved: %r", state.id, error)
        except Exception:  # noqa: BLE001 - whatever it is, the others of the batch are not to suffer
            _log.exception("no snapshot of the execution %s could be saved", state.id)

    def _gave_way(self, unit: Decided) -> list[Item]:
        self._states.forget(unit.state.id)
        for item in unit.items:
            if isinstance(item, StartItem):
                item.known_new = False
        return unit.items

    def _settle(self, unit: Decided, position: int) -> None:
        state = unit.state
        if unit.events:
            self._tracking.follow(state, unit.events, self._clock())
        else:
            self._tracking.hold_against(state, self._clock())
        if state.id in self._tracking.open:
            self._states.keep(state)
        else:
            self._states.forget(state.id)  # it ended, or another process follows it, whose writing is not heard of here
        for item in unit.items:
            if isinstance(item, ANSWERED) and not item.done.done():
                item.done.set_result(Accepted(state.id, state.status, state.version, position))

    def _passed_a_snapshot(self, unit: Decided) -> bool:
        version, every = unit.state.version, self._snapshot_every
        return version // every > (version - len(unit.events)) // every
