"""`evolve(state, event) -> state`: total, never raises for an event of the catalogue, and costs the same at any age."""

from collections.abc import Callable
from typing import Any

import msgspec

from services.workflow.domain import events as e
from services.workflow.domain.state import (
    CANCELLED,
    COMPLETED,
    FAILED,
    RETRYING,
    RUNNING,
    SCHEDULED,
    SKIPPED,
    WAITING,
    ExecutionState,
    StepState,
)
from shared.eventstore.catalogue import DomainEvent


def evolve(state: ExecutionState, event: DomainEvent) -> ExecutionState:
    """Fold one event into the state (in place: a state has one owner) and return it."""
    _FOLDS[type(event)](state, event)
    state.version += 1
    if state.ended_at is None:
        waits = state.open_timers and not state.open_tasks
        state.status = WAITING if waits else RUNNING
    return state


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
    state.scope = {
        "input": event.input,
        "execution": {"id": str(state.id), "context": event.context},
        "tenant": {"id": str(state.tenant_id)},
    }


def _scheduled(state: ExecutionState, event: e.StepScheduled) -> None:
    step = state.steps.get(event.path)
    if step is None:
        state.steps[event.path] = StepState(
            event.path, SCHEDULED, event.attempt, event.at, event.input, deadline=event.deadline
        )
    else:
        step.status = SCHEDULED
        step.attempt = event.attempt
        step.input = event.input
        step.deadline = event.deadline
        step.due = None
    state.open_timers.pop(event.path, None)
    state.open_tasks[event.path] = None


def _step_started(state: ExecutionState, event: e.StepStarted) -> None:
    waits = event.due is not None
    state.steps[event.path] = StepState(
        event.path,
        WAITING if waits else RUNNING,
        1,
        event.at,
        branch=event.branch,
        due=event.due,
        deadline=event.deadline,
    )
    (state.open_timers if waits else state.open_holders)[event.path] = None


def _close(state: ExecutionState, path: str, at: int, status: str) -> StepState:
    step = state.steps.get(path)
    if step is None:
        step = state.steps[path] = StepState(path, status, 1, at)
    step.status = status
    step.completed_at = at
    step.due = step.deadline = None
    state.open_tasks.pop(path, None)
    state.open_timers.pop(path, None)
    state.open_holders.pop(path, None)
    return step


def _holder(state: ExecutionState, path: str) -> StepState | None:
    return state.steps.get(path[: max(0, path.rfind("/"))])


def _name(path: str) -> str:
    return path[path.rfind("/") + 1 :]


def _completed(state: ExecutionState, event: e.StepCompleted) -> None:
    step = _close(state, event.path, event.at, COMPLETED)
    step.attempt = event.attempt
    step.output = event.output
    step.error = None
    state.scope[_name(event.path)] = event.output
    holder = _holder(state, event.path)
    if holder is not None:
        holder.good += 1


def _failed(state: ExecutionState, event: e.StepFailed) -> None:
    if event.retry_at is not None:
        step = state.steps.get(event.path) or StepState(event.path, RETRYING, event.attempt, event.at)
        state.steps[event.path] = step
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
    holder = _holder(state, event.path)
    if holder is not None:
        holder.passed += event.continued
        holder.bad += not event.continued
    if event.continued:
        state.scope[_name(event.path)] = {"error": msgspec.to_builtins(event.error)}


def _skipped(state: ExecutionState, event: e.StepSkipped) -> None:
    _close(state, event.path, event.at, SKIPPED)
    holder = _holder(state, event.path)
    if holder is not None:
        holder.passed += 1


def _cancelled(state: ExecutionState, event: e.StepCancelled) -> None:
    _close(state, event.path, event.at, CANCELLED)


def _end(state: ExecutionState, at: int, status: str) -> None:
    state.status = status
    state.ended_at = at


def _execution_completed(state: ExecutionState, event: e.ExecutionCompleted) -> None:
    _end(state, event.at, COMPLETED)
    state.output = event.output


def _execution_failed(state: ExecutionState, event: e.ExecutionFailed) -> None:
    _end(state, event.at, FAILED)
    state.error = event.error


def _execution_cancelled(state: ExecutionState, event: e.ExecutionCancelled) -> None:
    _end(state, event.at, CANCELLED)


_FOLDS: dict[type[DomainEvent], Callable[[ExecutionState, Any], None]] = {
    e.ExecutionStarted: _started,
    e.StepScheduled: _scheduled,
    e.StepStarted: _step_started,
    e.StepCompleted: _completed,
    e.StepFailed: _failed,
    e.StepSkipped: _skipped,
    e.StepCancelled: _cancelled,
    e.ExecutionCompleted: _execution_completed,
    e.ExecutionFailed: _execution_failed,
    e.ExecutionCancelled: _execution_cancelled,
}
