"""`decide(state, program, command) -> events`: the only place where it is decided what happens next.

It knows no clock and no I/O; it folds the events that it returns into the state that it is given.
"""

from services.workflow.domain import commands as c
from services.workflow.domain.events import ExecutionFailed, ExecutionStarted, StepCancelled
from services.workflow.domain.evolve import evolve
from services.workflow.domain.language.program import Program
from services.workflow.domain.state import RETRYING, SCHEDULED, ExecutionState
from services.workflow.domain.step_error import StepError
from services.workflow.domain.walk import Walk
from services.workflow.limits import MAX_HISTORY_EVENTS, TASK_GRACE_MS
from shared.eventstore.catalogue import DomainEvent


def decide(state: ExecutionState, program: Program, command: c.Command) -> list[DomainEvent]:
    """Return what happens; the events are already folded into `state`. Nothing happens to an execution that ended.

    A result of an attempt that is not the open one (it came twice, late, or after a cancellation) is no event at all.
    """
    walk = Walk(state, program, command.now)
    match command:
        case c.Start():
            _start(walk, command)
        case _ if state.ended or state.version == 0:
            return []
        case _ if state.version >= MAX_HISTORY_EVENTS:
            walk.fail_execution(
                StepError("history_too_long", f"It has {state.version:,} events: no more are recorded.")
            )
        case c.CompleteTask(path=path, attempt=attempt, output=output):
            if _is_awaited(state, path, attempt):
                walk.complete(walk.node(path), output)
        case c.FailTask(path=path, attempt=attempt, error=error):
            if _is_awaited(state, path, attempt):
                walk.fail_attempt(walk.node(path), error)
        case c.Wake():
            _wake(walk)
        case c.Cancel(reason=reason):
            walk.cancel(reason)
    walk.run()
    return walk.events


def abandon(state: ExecutionState, now: int, error: StepError) -> list[DomainEvent]:
    """Return how an execution ends whose program cannot be had any more."""
    if state.ended or state.version == 0:
        return []
    ends: list[DomainEvent] = [
        StepCancelled(now, path, "the execution failed")
        for path in (*state.open_tasks, *state.open_timers, *state.open_holders)
    ]
    ends.append(ExecutionFailed(now, error))
    for event in ends:
        evolve(state, event)
    return ends


def _start(walk: Walk, command: c.Start) -> None:
    if walk.state.version:
        return
    deadline = command.now + int(walk.program.timeout_seconds * 1000)
    walk.emit(
        ExecutionStarted(
            command.now,
            command.workflow_id,
            command.revision,
            command.input,
            command.context,
            deadline,
            command.trigger,
            command.priority,
            command.attributes,
            command.tags,
        )
    )
    walk.begin(walk.program.first)


def _is_awaited(state: ExecutionState, path: str, attempt: int) -> bool:
    return path in state.open_tasks and state.steps[path].attempt == attempt


def _wake(walk: Walk) -> None:
    state, now = walk.state, walk.now
    if state.deadline <= now:
        walk.fail_execution(StepError("timeout", "The execution took longer than its timeout_seconds."))
        return
    for path in (*state.open_timers, *state.open_tasks, *state.open_holders):
        if state.ended or not state.is_open(path):
            continue  # ended by what an earlier one caused
        step = state.steps[path]
        # A delay has both; when both have passed, what came first is what happened.
        if step.due is not None and step.due <= min(now, step.deadline or now):
            if step.status == RETRYING:
                walk.schedule(walk.node(path), step.attempt + 1)
            else:
                walk.complete(walk.node(path), {"due": step.due})
        elif step.deadline is not None and step.deadline + (TASK_GRACE_MS if step.status == SCHEDULED else 0) <= now:
            error = StepError("step_timeout", "The step took longer than its timeout_seconds.", retryable=True)
            if step.status == SCHEDULED:
                walk.fail_attempt(walk.node(path), error)
            else:
                walk.fail(walk.node(path), error)
        walk.run()
