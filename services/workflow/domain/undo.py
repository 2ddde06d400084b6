"""Undoing what an execution did (a saga): the `compensate` steps of what completed, the last first, before it ends."""

from typing import TYPE_CHECKING

import msgspec

from services.workflow.domain import events as e
from services.workflow.domain.language.program import Node
from services.workflow.domain.language.steps import COMPENSATE, HOLDERS
from services.workflow.domain.state import COMPLETED, ExecutionState, StepState, Undoing
from services.workflow.domain.step_error import StepError
from services.workflow.domain.where import child, holder_of, is_inside
from shared.eventstore.catalogue import DomainEvent

if TYPE_CHECKING:
    from services.workflow.domain.walk import Walk


def start(walk: "Walk", error: StepError | None, reason: str | None) -> None:
    """Begin to undo; without anything to undo, end at once."""
    state = walk.state
    if state.undoing is not None:
        give_up(walk, "the execution ended for good")
        return
    done = [step for step in state.steps.values() if step.status == COMPLETED and not step.let_pass]
    undoable = [step for step in done if walk.node(step.path).compensation and not _is_copied(walk, step)]
    steps = [step.path for step in sorted(undoable, key=lambda step: -step.closed)]
    if not steps:
        _end(walk, Undoing([], error, reason))
        return
    deadline = walk.now + int(walk.program.timeout_seconds * 1000)
    walk.emit(e.CompensationStarted(walk.now, deadline, steps, error, reason))
    _begin_next(walk)


def undone(walk: "Walk", path: str, error: StepError | None) -> None:
    """Record that a step was undone, or could not be, and go on with the one before it."""
    walk.cancel_inside(path, "what it was to undo is given up")
    walk.emit(e.StepCompensated(walk.now, path, error))
    _begin_next(walk)


def give_up(walk: "Walk", why: str) -> None:
    """End at once, whatever is not undone yet."""
    undoing = walk.state.undoing
    if undoing is None:
        raise TypeError("nothing is being undone")
    walk.cancel_all(why)
    _end(walk, undoing)


def is_undoing(state: ExecutionState, node: Node, path: str) -> bool:
    """Whether a step belongs to what is being undone now."""
    undoing = state.undoing
    return node.branch == COMPENSATE and undoing is not None and undoing.steps[:1] == [holder_of(path)]


def _is_copied(walk: "Walk", step: StepState) -> bool:
    """Whether another execution did a step, or all that it holds: what it did is for that one to undo."""
    if not isinstance(walk.node(step.path).step, HOLDERS):
        return step.copied
    inside = [
        other.copied
        for path, other in walk.state.steps.items()
        if is_inside(path, step.path) and other.status == COMPLETED and not isinstance(walk.node(path).step, HOLDERS)
    ]
    return bool(inside) and all(inside)


def _begin_next(walk: "Walk") -> None:
    undoing = walk.state.undoing
    if undoing is None:
        raise TypeError("nothing is being undone")
    if not undoing.steps:
        _end(walk, undoing)
        return
    path = undoing.steps[0]
    first = walk.node(path).compensation[0]
    walk.begin(first, child(path, first))


def _end(walk: "Walk", undoing: Undoing) -> None:
    walk.emit(ending(walk.now, undoing))


def ending(now: int, undoing: Undoing) -> DomainEvent:
    """Return how an execution ends that undid what it did: as was decided before, and saying what was not undone."""
    not_undone = [*undoing.failed, *undoing.steps]
    if undoing.error is not None:
        error = undoing.error
        if not_undone:
            error = msgspec.structs.replace(error, details={**error.details, "not_compensated": not_undone})
        return e.ExecutionFailed(now, error)
    left = None
    if not_undone:
        message = "Not all that was done could be undone."
        left = StepError("compensation_failed", message, details={"not_compensated": not_undone})
    return e.ExecutionCancelled(now, undoing.reason or "", error=left)
