"""Executions that run others: what a child's end tells its parent, and which children nobody needs any more."""

from uuid import UUID

import msgspec

from services.workflow.domain import events as e
from services.workflow.domain.events import Parent
from services.workflow.domain.language.program import Program
from services.workflow.domain.language.steps import WorkflowStep
from services.workflow.domain.state import COMPLETED, ExecutionState
from services.workflow.domain.where import name_of
from shared.bus.tasks import TaskError, TaskResult, task_id_of
from shared.eventstore.catalogue import DomainEvent
from shared.ids import derived_id_at, time_of

CANCEL_CHILD = "commands.workflow.cancel-child"
"""Where lists of `Orphan` are published, on core NATS: what is lost is found again."""


_LET_GO = (e.StepCancelled, e.StepFailed)


class Orphan(msgspec.Struct, frozen=True):
    """A child execution whose parent no longer needs it."""

    execution_id: UUID
    tenant_id: UUID
    reason: str


def child_id(parent_id: UUID, task_id: str) -> UUID:
    """Return the id of the execution that one attempt at a `workflow` step runs: sent twice, it is one child.

    It lies in the log beside its parent: of all times, that of the parent's id is what never changes.
    """
    return derived_id_at(time_of(parent_id), "child", task_id)


def children_let_go(state: ExecutionState, program: Program, events: list[DomainEvent]) -> list[Orphan]:
    """Return the children of steps that ended otherwise than by their child's end."""
    found = []
    for event in events:
        if not isinstance(event, _LET_GO):
            continue  # nearly always
        why = _why_let_go(event)
        if why is not None and isinstance(program.nodes[name_of(event.path)].step, WorkflowStep):
            attempt = state.steps[event.path].attempt
            found.append(Orphan(child_id(state.id, task_id_of(state.id, event.path, attempt)), state.tenant_id, why))
    return found


def result_for_parent(state: ExecutionState) -> TaskResult | None:
    """Return how the child ended, as the result of its parent's step; None if it has no parent."""
    if state.parent is None:
        return None
    return child_result(state, state.parent)


def child_result(state: ExecutionState, parent: Parent) -> TaskResult:
    """Return an ended child's result."""
    if state.status == COMPLETED:
        return TaskResult(parent.execution_id, parent.path, parent.attempt, "ok", state.output)
    said = "" if state.error is None else f": {state.error.code}: {state.error.message}"
    details: dict[str, object] = {"execution_id": state.key}
    if state.error is not None:
        details["error"] = msgspec.to_builtins(state.error)
    error = TaskError("child_failed", f"The child execution is {state.status}{said}.", details=details)
    return TaskResult(parent.execution_id, parent.path, parent.attempt, "error", error=error)


def needs(parent: ExecutionState | None, child: Parent) -> bool:
    """Whether the parent still waits for this child."""
    if parent is None or child.path not in parent.open_tasks:
        return False
    return parent.steps[child.path].attempt == child.attempt


def _why_let_go(event: e.StepCancelled | e.StepFailed) -> str | None:
    if isinstance(event, e.StepCancelled):
        return f"its parent no longer needs it: {event.reason}"
    if event.error.code == "step_timeout":
        return "its parent waited for it long enough"
    return None
