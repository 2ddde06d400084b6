"""`decide(state, program, command) -> events`: the only place where it is decided what happens next.

It knows no clock and no I/O; it folds the events that it returns into the state that it is given.
"""

from collections.abc import Callable
from typing import Any

from services.workflow.domain import commands as c
from services.workflow.domain import events as e
from services.workflow.domain import holders, undo, waits
from services.workflow.domain.evolve import evolve
from services.workflow.domain.language.input_schema import compile_schema
from services.workflow.domain.language.program import Program
from services.workflow.domain.refusals import (
    ExecutionEnded,
    ExecutionIsEnding,
    ExecutionIsPaused,
    NotAssignee,
    NothingToDecide,
    NotRetryable,
    TooManySignals,
)
from services.workflow.domain.retrying import retry
from services.workflow.domain.state import CANCELLED, FAILED, RETRYING, SCHEDULED, ExecutionState, signal_key
from services.workflow.domain.step_error import StepError
from services.workflow.domain.walk import Walk, history_too_long
from services.workflow.limits import (
    MAX_HISTORY_BYTES,
    MAX_HISTORY_EVENTS,
    MAX_SIGNALS_KEPT,
    TASK_GRACE_MS,
)
from shared.eventstore.catalogue import DomainEvent


def decide(state: ExecutionState, program: Program, command: c.Command) -> list[DomainEvent]:
    """Return what happens; the events are already folded into `state`.

    A result of an attempt that is not the open one (it came twice, late, or after a cancellation) is no event at all,
    and neither is a control that says what is so already. Raises what `refusals` has, with nothing changed.
    """
    recorded = command.recorded if isinstance(command, c.Start) else None
    walk = Walk(state, program, command.now, recorded)
    if state.ended_at is not None:
        _after_the_end(walk, command)
    elif state.version == 0:
        if isinstance(command, c.Start):
            begin(walk, command)
    elif _is_full(state) and not isinstance(command, c.Cancel | c.Terminate):
        walk.fail_execution(history_too_long(state))
    else:
        _HANDLERS[type(command)](walk, command)
    walk.run()
    return walk.events


def abandon(state: ExecutionState, now: int, error: StepError) -> list[DomainEvent]:
    """Return how an execution ends whose program cannot be had any more."""
    if state.ended or state.version == 0:
        return []
    ends: list[DomainEvent] = [e.StepCancelled(now, path, "the execution failed") for path in state.open_paths()]
    ends.append(e.ExecutionFailed(now, error) if state.undoing is None else undo.ending(now, state.undoing))
    for event in ends:
        evolve(state, event)
    return ends


def begin(walk: Walk, command: c.Start) -> None:
    """Record the start, and begin with the first step."""
    walk.emit(
        e.ExecutionStarted(
            command.now,
            command.workflow_id,
            command.revision,
            command.input,
            command.context,
            _deadline(walk),
            command.trigger,
            command.priority,
            command.attributes,
            command.tags,
            command.parent,
            command.forked_from,
            command.queued,
        )
    )
    if not command.queued:
        walk.begin(walk.program.first, walk.program.first.path)


def _deadline(walk: Walk) -> int:
    return walk.now + int(walk.program.timeout_seconds * 1000)


def _is_full(state: ExecutionState) -> bool:
    full = state.version >= MAX_HISTORY_EVENTS or state.size >= MAX_HISTORY_BYTES
    return full and state.undoing is None


def _after_the_end(walk: Walk, command: c.Command) -> None:
    """Nothing happens to an execution that ended, but that it is retried; who wanted something else of it is told."""
    if isinstance(command, c.Retry):
        _retry(walk)
    elif isinstance(command, c.Signal) and signal_key(command.name, command.id) in walk.state.signals_seen:
        return
    elif isinstance(command, c.Pause | c.Resume | c.Signal | c.Decide):
        raise ExecutionEnded("The execution has ended.")


def _not_failed(walk: Walk, command: c.Retry) -> None:  # noqa: ARG001 - handlers have one shape
    _retry(walk)


def _nothing(walk: Walk, command: c.Command) -> None:
    """It has been started already."""


def _cancel(walk: Walk, command: c.Cancel) -> None:
    if walk.state.undoing is None:
        walk.cancel(command.reason)


def _terminate(walk: Walk, command: c.Terminate) -> None:
    if walk.state.undoing is not None:
        undo.give_up(walk, "the execution was terminated")
        return
    walk.cancel_all("the execution was terminated")
    walk.emit(e.ExecutionCancelled(walk.now, command.reason, terminated=True))


def _result(walk: Walk, command: c.CompleteTask | c.FailTask) -> None:
    state, path = walk.state, command.path
    if path not in state.open_tasks or state.steps[path].attempt != command.attempt:
        return
    if state.paused_at is not None:
        output, error = (command.output, None) if isinstance(command, c.CompleteTask) else (None, command.error)
        walk.emit(e.StepResultHeld(walk.now, path, command.attempt, output, error))
    elif isinstance(command, c.CompleteTask):
        walk.complete(walk.node(path), path, command.output)
    else:
        walk.fail_attempt(walk.node(path), path, command.error)


def _admit(walk: Walk, command: c.Admit) -> None:
    if walk.state.queued and walk.state.paused_at is None:
        walk.emit(e.ExecutionAdmitted(command.now, _deadline(walk)))
        walk.begin(walk.program.first, walk.program.first.path)


def _pause(walk: Walk, command: c.Pause) -> None:
    if walk.state.undoing is not None:
        raise ExecutionIsEnding("What the execution did is being undone: that cannot be paused. Terminate it instead.")
    if walk.state.paused_at is None:
        walk.emit(e.ExecutionPaused(command.now, command.reason))


def _resume(walk: Walk, command: c.Resume) -> None:
    state = walk.state
    if state.paused_at is None:
        return
    held = state.held
    walk.emit(e.ExecutionResumed(command.now))
    for path, result in held.items():
        if result.error is None:
            _result(walk, c.CompleteTask(walk.now, path, result.attempt, result.output))
        else:
            _result(walk, c.FailTask(walk.now, path, result.attempt, result.error))
        walk.run()
    for name in dict.fromkeys(wait.name for wait in state.open_waits.values() if wait.kind == waits.EVENT):
        waits.take_signals(walk, name)


def _signal(walk: Walk, command: c.Signal) -> None:
    state = walk.state
    if signal_key(command.name, command.id) in state.signals_seen:
        return
    if len(state.signals) >= MAX_SIGNALS_KEPT:
        raise TooManySignals(f"It keeps {MAX_SIGNALS_KEPT:,} signals that no step has taken: no more are kept.")
    walk.emit(e.SignalReceived(walk.now, command.id, command.name, command.data))
    if state.paused_at is None:
        waits.take_signals(walk, command.name)


def _decide(walk: Walk, command: c.Decide) -> None:
    wait = walk.state.open_waits.get(command.path)
    if wait is None or wait.kind != waits.APPROVAL:
        raise NothingToDecide("Nobody is asked for this decision, or it was made already.")
    assignees = wait.details.get("assignees") or []
    if assignees and command.by not in assignees:
        raise NotAssignee("Others are asked for this decision.")
    if walk.state.paused_at is not None:
        raise ExecutionIsPaused("The execution is paused: resume it first.")
    schema = wait.details.get("form_schema")
    if command.approved and schema is not None:
        compile_schema(schema)(command.data)
    decision = {
        "approved": command.approved,
        "decision": "approved" if command.approved else "rejected",
        "decided_by": command.by,
        "comment": command.comment,
        "data": command.data,
    }
    waits.decided(walk, command.path, command.by, decision)


def _retry(walk: Walk) -> None:
    state = walk.state
    if state.undone:
        raise NotRetryable("What the execution did was undone: fork it, or start anew.")
    if state.status not in {FAILED, CANCELLED}:
        raise NotRetryable(
            f"The execution is {state.status}: only one that failed or was cancelled goes on by a retry."
        )
    if state.version >= MAX_HISTORY_EVENTS or state.size >= MAX_HISTORY_BYTES:
        raise NotRetryable(history_too_long(state).message)
    retry(walk, _deadline(walk))


def _wake(walk: Walk, command: c.Wake) -> None:
    state, now = walk.state, command.now
    if state.paused_at is not None or state.queued:
        return
    if state.deadline <= now:
        if state.undoing is not None:
            undo.give_up(walk, "undoing took longer than the execution's timeout_seconds")
        else:
            walk.fail_execution(StepError("timeout", "The execution took longer than its timeout_seconds."))
        return
    for path in state.open_paths():
        if state.ended or not state.is_open(path):
            continue  # ended by what an earlier one caused
        _look_at(walk, path)
        walk.run()


def _look_at(walk: Walk, path: str) -> None:
    """Do what is due of one step."""
    step, now = walk.state.steps[path], walk.now
    # A delay has both; when both have passed, what came first is what happened.
    if step.due is not None and step.due <= min(now, step.deadline or now):
        if step.status == RETRYING:
            walk.schedule(walk.node(path), path, step.attempt + 1)
        else:
            walk.complete(walk.node(path), path, {"due": step.due})
    elif step.deadline is not None and step.deadline + (TASK_GRACE_MS if step.status == SCHEDULED else 0) <= now:
        error = StepError("step_timeout", "The step took longer than its timeout_seconds.", retryable=True)
        if step.status == SCHEDULED:
            walk.fail_attempt(walk.node(path), path, error)
        elif path in walk.state.open_waits:
            waits.timed_out(walk, path)
        else:
            walk.fail(walk.node(path), path, error)
    elif path in walk.state.open_holders:
        holders.go_on(walk, walk.node(path), path)


_HANDLERS: dict[type[c.Command], Callable[[Walk, Any], None]] = {
    c.Start: _nothing,
    c.CompleteTask: _result,
    c.FailTask: _result,
    c.Wake: _wake,
    c.Admit: _admit,
    c.Cancel: _cancel,
    c.Terminate: _terminate,
    c.Pause: _pause,
    c.Resume: _resume,
    c.Retry: _not_failed,
    c.Signal: _signal,
    c.Decide: _decide,
}
