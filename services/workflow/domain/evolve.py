"""`evolve(state, event) -> state`: total, never raises for an event of the catalogue, and costs the same at any age."""

from collections.abc import Callable
from typing import Any

import msgspec

from services.workflow.domain import events as e
from services.workflow.domain.scope import opening_scope
from services.workflow.domain.state import (
    CANCELLED,
    COMPLETED,
    FAILED,
    PAUSED,
    PENDING,
    RETRYING,
    RUNNING,
    SCHEDULED,
    SKIPPED,
    WAITING,
    ExecutionState,
    Held,
    Signal,
    StepState,
    Undoing,
    Wait,
    signal_key,
)
from services.workflow.domain.where import holder_of, iteration_around, name_of
from shared.eventstore.catalogue import DomainEvent


def evolve(state: ExecutionState, event: DomainEvent) -> ExecutionState:
    """Fold one event into the state (in place: a state has one owner) and return it."""
    state.version += 1
    _FOLDS[type(event)](state, event)
    if state.ended_at is None:
        state.status = _status(state)
    return state


def _status(state: ExecutionState) -> str:
    if state.paused_at is not None:
        return PAUSED
    if state.queued:
        return PENDING
    waits = (state.open_timers or state.open_waits) and not state.open_tasks
    return WAITING if waits else RUNNING


def _started(state: ExecutionState, event: e.ExecutionStarted) -> None:
    state.workflow_id = event.workflow_id
    state.revision = event.revision
    state.context = event.context
    state.started_at = event.at
    state.deadline = event.deadline
    state.priority = event.priority
    state.attributes = event.attributes
    state.tags = event.tags
    state.trigger = event.trigger
    state.parent = event.parent
    state.queued = event.queued
    state.scope = opening_scope(state.id, state.tenant_id, event.input, event.context)


def _admitted(state: ExecutionState, event: e.ExecutionAdmitted) -> None:
    state.queued = False
    state.deadline = event.deadline


def _open(state: ExecutionState, step: StepState) -> StepState:
    """Put a step that begins into its place; the first of an iteration counts the iteration as begun."""
    state.steps[step.path] = step
    if "]/" in step.path:
        _count_iteration(state, step.path)
    return step


def _count_iteration(state: ExecutionState, path: str) -> None:
    at = path.rfind("/")
    if at > 0 and path[at - 1] == "]":
        opening = path.rfind("[", 0, at)
        holder = state.steps.get(path[:opening])
        if holder is not None:
            holder.begun = max(holder.begun, int(path[opening + 1 : at - 1]) + 1)


def _scheduled(state: ExecutionState, event: e.StepScheduled) -> None:
    step = state.steps.get(event.path)
    if step is None:
        _open(
            state,
            StepState(event.path, SCHEDULED, event.attempt, event.at, event.input, deadline=event.deadline),
        )
    else:
        if step.status != RETRYING:
            # It ended before, and what holds it was begun once more: its retries count from here.
            state.bases[event.path] = step.attempt
        step.status = SCHEDULED
        step.attempt = event.attempt
        step.input = event.input
        step.deadline = event.deadline
        step.due = step.completed_at = None
    state.open_timers.pop(event.path, None)
    state.open_tasks[event.path] = None


def _step_started(state: ExecutionState, event: e.StepStarted) -> None:
    waits = event.due is not None
    _open(
        state,
        StepState(
            event.path,
            WAITING if waits else RUNNING,
            1,
            event.at,
            event.input,
            branch=event.branch,
            due=event.due,
            deadline=event.deadline,
        ),
    )
    (state.open_timers if waits else state.open_holders)[event.path] = None


def _waiting(state: ExecutionState, event: e.StepWaiting) -> None:
    _open(state, StepState(event.path, WAITING, 1, event.at, event.details or None, deadline=event.deadline))
    state.open_waits[event.path] = Wait(event.kind, event.name, event.details)


def _waited(state: ExecutionState, event: e.StepWaited) -> None:
    wait = state.open_waits.pop(event.path, None)
    if wait is not None and event.signal_id is not None:
        state.signals.pop(signal_key(wait.name, event.signal_id), None)
    step = state.steps.get(event.path)
    if step is not None and event.outcome == e.TIMED_OUT:
        step.deadline = None
        step.status = RUNNING
        state.open_holders[event.path] = None


def _signalled(state: ExecutionState, event: e.SignalReceived) -> None:
    key = signal_key(event.name, event.id)
    state.signals_seen[key] = None
    state.signals[key] = Signal(event.name, event.id, event.data)


def _emitted(state: ExecutionState, event: e.EventEmitted) -> None:
    """What is published changes nothing here: the step's completion does."""


def _close(state: ExecutionState, path: str, at: int, status: str) -> StepState:
    step = state.steps.get(path)
    if step is None:
        step = _open(state, StepState(path, status, 1, at))
    step.status = status
    step.completed_at = at
    step.due = step.deadline = None
    step.closed = state.version
    state.open_tasks.pop(path, None)
    state.open_timers.pop(path, None)
    state.open_holders.pop(path, None)
    state.open_waits.pop(path, None)
    return step


def _see(state: ExecutionState, path: str, value: Any) -> None:
    """Show an output to who comes after. What is inside an iteration is seen there alone (`scope_at`)."""
    if "[" not in path:
        state.scope[name_of(path)] = value


def _counted_by(state: ExecutionState, path: str, *, last: bool) -> StepState | None:
    """Return the holder that counts how this step ended: for one that repeats, only the last of an iteration counts.

    One that failed counts none of the steps of its `on_error`: after a retry of the execution it goes on counting.
    """
    holder = holder_of(path)
    if not holder or (not last and path[len(holder)] == "["):
        return None
    step = state.steps.get(holder)
    return None if step is None or step.let_pass else step


def _completed(state: ExecutionState, event: e.StepCompleted) -> None:
    step = _close(state, event.path, event.at, COMPLETED)
    step.attempt = event.attempt
    step.output = event.output
    step.copied = event.copied
    if not step.let_pass:
        step.error = None
    if "/" not in event.path:
        state.scope[event.path] = event.output
        return
    _see(state, event.path, event.output)
    holder = _counted_by(state, event.path, last=event.last)
    if holder is not None:
        holder.good += 1


def _failed(state: ExecutionState, event: e.StepFailed) -> None:
    if event.retry_at is not None:
        step = state.steps.get(event.path) or _open(state, StepState(event.path, RETRYING, event.attempt, event.at))
        step.status = RETRYING
        step.error = event.error
        step.due = event.retry_at
        step.deadline = None
        state.open_tasks.pop(event.path, None)
        state.open_timers[event.path] = None
        return
    step = _close(state, event.path, event.at, FAILED)
    step.attempt = event.attempt
    step.error = event.error
    step.let_pass = event.continued or event.handled
    if step.let_pass:
        _see(state, event.path, {"error": msgspec.to_builtins(event.error)})
    if event.handled:
        state.open_holders[event.path] = None
        return
    holder = _counted_by(state, event.path, last=event.last)
    if holder is not None:
        holder.passed += event.continued
        holder.bad += not event.continued


def _skipped(state: ExecutionState, event: e.StepSkipped) -> None:
    _close(state, event.path, event.at, SKIPPED)
    holder = _counted_by(state, event.path, last=event.last)
    if holder is not None:
        holder.passed += 1


def _cancelled(state: ExecutionState, event: e.StepCancelled) -> None:
    _close(state, event.path, event.at, CANCELLED)
    state.held.pop(event.path, None)


def _result_held(state: ExecutionState, event: e.StepResultHeld) -> None:
    state.open_tasks.pop(event.path, None)
    state.held[event.path] = Held(event.attempt, event.output, event.error)


def _paused(state: ExecutionState, event: e.ExecutionPaused) -> None:
    state.paused_at = event.at


def _resumed(state: ExecutionState, event: e.ExecutionResumed) -> None:
    """Move everything that falls due by as long as time stood still."""
    shift = event.at - (event.at if state.paused_at is None else state.paused_at)
    state.paused_at = None
    state.deadline += shift
    for path in (*state.open_tasks, *state.open_timers, *state.open_waits, *state.open_holders):
        step = state.steps[path]
        step.due = None if step.due is None else step.due + shift
        step.deadline = None if step.deadline is None else step.deadline + shift
    for path in state.held:
        state.open_tasks[path] = None
    state.held = {}


def _begins_anew(path: str, again: set[str]) -> bool:
    while path and path not in again:
        path = holder_of(path)
    return bool(path)


def _retried(state: ExecutionState, event: e.ExecutionRetried) -> None:
    state.ended_at = state.error = state.parent = None
    state.deadline = event.deadline
    anew = {*event.again, *event.dropped}
    for path in [path for path in state.steps if _begins_anew(path, anew)]:
        state.bases[path] = state.steps.pop(path).attempt
        if not iteration_around(path):
            state.scope.pop(name_of(path), None)
    for path, deadline in event.reopened.items():
        step = state.steps[path]
        step.status = RUNNING
        step.completed_at = step.error = None
        step.bad = 0
        step.deadline = deadline
        state.open_holders[path] = None


def _compensation(state: ExecutionState, event: e.CompensationStarted) -> None:
    state.undoing = Undoing(list(event.steps), event.error, event.reason, [])
    state.undone = True
    state.deadline = event.deadline
    state.paused_at = None
    state.held = {}


def _compensated(state: ExecutionState, event: e.StepCompensated) -> None:
    undoing = state.undoing
    if undoing is not None and event.path in undoing.steps:
        undoing.steps.remove(event.path)
        if event.error is not None:
            undoing.failed.append(event.path)


def _end(state: ExecutionState, at: int, status: str) -> None:
    state.status = status
    state.ended_at = at
    state.paused_at = state.undoing = None
    state.queued = False
    state.held = {}


def _execution_completed(state: ExecutionState, event: e.ExecutionCompleted) -> None:
    _end(state, event.at, COMPLETED)
    state.output = event.output


def _execution_failed(state: ExecutionState, event: e.ExecutionFailed) -> None:
    _end(state, event.at, FAILED)
    state.error = event.error


def _execution_cancelled(state: ExecutionState, event: e.ExecutionCancelled) -> None:
    _end(state, event.at, CANCELLED)
    state.error = event.error


_FOLDS: dict[type[DomainEvent], Callable[[ExecutionState, Any], None]] = {
    e.ExecutionStarted: _started,
    e.ExecutionAdmitted: _admitted,
    e.ExecutionPaused: _paused,
    e.ExecutionResumed: _resumed,
    e.ExecutionRetried: _retried,
    e.CompensationStarted: _compensation,
    e.StepCompensated: _compensated,
    e.StepScheduled: _scheduled,
    e.StepStarted: _step_started,
    e.StepWaiting: _waiting,
    e.StepWaited: _waited,
    e.StepResultHeld: _result_held,
    e.SignalReceived: _signalled,
    e.EventEmitted: _emitted,
    e.StepCompleted: _completed,
    e.StepFailed: _failed,
    e.StepSkipped: _skipped,
    e.StepCancelled: _cancelled,
    e.ExecutionCompleted: _execution_completed,
    e.ExecutionFailed: _execution_failed,
    e.ExecutionCancelled: _execution_cancelled,
}
