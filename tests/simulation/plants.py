"""Bugs that are put in on purpose, one at a time, to see whether the simulation finds them and how soon."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

from services.workflow.app import batch, following, tracking
from services.workflow.app.batch import Batch, Decided
from services.workflow.app.engine import Engine
from services.workflow.app.items import Accepted, ControlItem, Item, StartItem
from services.workflow.app.recording import Recorder
from services.workflow.app.states import States
from services.workflow.domain import decide, evolve, undo
from services.workflow.domain import events as e
from services.workflow.domain.commands import CompleteTask, FailTask
from services.workflow.domain.state import ExecutionState, Signal
from services.workflow.domain.walk import Walk
from tests.unit.workflow_engine.engine_parts import Classes


class AnswersBeforeTheCommit(Recorder):
    async def record(self, batch: Batch) -> list[Item]:
        for unit in batch.decided.values():
            for item in unit.items:
                if isinstance(item, StartItem | ControlItem) and not item.done.done():
                    item.done.set_result(Accepted(unit.state.id, unit.state.status, unit.state.version, 1))
        return await super().record(batch)


class SendsBeforeTheCommit(Recorder):
    async def record(self, batch: Batch) -> list[Item]:
        await self._dispatch.send([task for unit in batch.decided.values() for task in unit.tasks])
        return await super().record(batch)


class SettlesWhatLost(Recorder):
    """A transition that another writer was ahead of is taken for written."""

    def _gave_way(self, unit: Decided) -> list[Item]:
        self._settle(unit, 0)
        return []


class WaitsForNothing(Engine):
    """What concerns an execution of a batch on its way does not wait for that batch."""

    def _take(self) -> list[Item]:
        behind, self._behind = self._behind, {}
        try:
            return super()._take()
        finally:
            self._behind = behind


class KeepsStates(States):
    """After an outage the states are those from before it."""

    def clear(self) -> None:
        return


@contextmanager
def _lets_children_go_on() -> Iterator[None]:
    async def nobody(_: Engine) -> list[Any]:
        return []

    with patch.object(batch, "children_let_go", lambda *_: []), patch.object(Engine, "orphans", nobody):
        yield


def _takes_up_nothing() -> AbstractContextManager[Any]:
    async def nothing(*_: Any) -> int:
        return 0

    return patch.object(following, "adopt_open_executions", nothing)


def _hears_of_no_rival() -> AbstractContextManager[Any]:
    async def nothing(*_: Any) -> list[Any]:
        return []

    return patch.object(following, "behind", nothing)


def _same_attempt() -> AbstractContextManager[Any]:
    real = Walk.schedule
    return patch.object(Walk, "schedule", lambda walk, node, path, attempt: real(walk, node, path, min(attempt, 1)))


def _any_attempt() -> AbstractContextManager[Any]:
    real = decide._result

    def result(walk: Walk, command: Any) -> None:
        if command.path in walk.state.open_tasks:
            attempt = walk.state.steps[command.path].attempt
            real(walk, type(command)(command.now, command.path, attempt, *list(_rest(command))))

    return patch.dict(decide._HANDLERS, {CompleteTask: result, FailTask: result})


def _rest(command: Any) -> Iterator[Any]:
    yield getattr(command, "output", None) if hasattr(command, "output") else command.error


def _first_undone_first() -> AbstractContextManager[Any]:
    def by_closing(steps: Sequence[Any], *, key: Callable[[Any], int]) -> list[Any]:
        return sorted(steps, key=lambda step: -key(step))

    return patch.object(undo, "sorted", by_closing, create=True)


def _signals_forgotten() -> AbstractContextManager[Any]:
    def signalled(state: ExecutionState, event: e.SignalReceived) -> None:
        state.signals[event.id] = Signal(event.name, event.data)

    return patch.dict(evolve._FOLDS, {e.SignalReceived: signalled})


def _signals_kept() -> AbstractContextManager[Any]:
    real = evolve._FOLDS[e.StepWaited]

    def waited(state: ExecutionState, event: e.StepWaited) -> None:
        signals = dict(state.signals)
        real(state, event)
        state.signals = signals

    return patch.dict(evolve._FOLDS, {e.StepWaited: waited})


def _never_sent_again() -> AbstractContextManager[Any]:
    return patch.object(tracking, "TASK_LEASE_MS", 2**60)


def _held_results_lost() -> AbstractContextManager[Any]:
    def held(state: ExecutionState, event: e.StepResultHeld) -> None:
        state.open_tasks.pop(event.path, None)

    return patch.dict(evolve._FOLDS, {e.StepResultHeld: held})


def _losers_go_on() -> AbstractContextManager[Any]:
    real = Walk.cancel_inside

    def cancel_inside(walk: Walk, path: str, reason: str) -> None:
        if reason != "enough of its siblings completed":
            real(walk, path, reason)

    return patch.object(Walk, "cancel_inside", cancel_inside)


class Plant:
    """A bug: other classes than those that are shipped, or a patch."""

    def __init__(
        self, classes: Classes | None = None, put_in: Callable[[], AbstractContextManager[Any]] = nullcontext
    ) -> None:
        self.name = ""
        self.classes = classes or Classes()
        self.put_in = put_in


NOTHING = Plant()

PLANTS = {
    "answer-before-commit": Plant(Classes(recorder=AnswersBeforeTheCommit)),
    "send-before-commit": Plant(Classes(recorder=SendsBeforeTheCommit)),
    "lost-race-taken-for-won": Plant(Classes(recorder=SettlesWhatLost)),
    "no-wait-for-batch-on-its-way": Plant(Classes(engine=WaitsForNothing)),
    "no-recovery-scan": Plant(put_in=_takes_up_nothing),
    "rivals-not-heard-of": Plant(put_in=_hears_of_no_rival),
    "states-kept-over-outage": Plant(Classes(states=KeepsStates)),
    "children-not-cancelled": Plant(put_in=_lets_children_go_on),
    "attempt-not-counted": Plant(put_in=_same_attempt),
    "any-attempt-taken": Plant(put_in=_any_attempt),
    "undone-in-order": Plant(put_in=_first_undone_first),
    "signal-id-forgotten": Plant(put_in=_signals_forgotten),
    "signal-taken-twice": Plant(put_in=_signals_kept),
    "task-not-sent-again": Plant(put_in=_never_sent_again),
    "result-lost-in-pause": Plant(put_in=_held_results_lost),
    "losers-not-cancelled": Plant(put_in=_losers_go_on),
}
for _name, _plant in PLANTS.items():
    _plant.name = _name
