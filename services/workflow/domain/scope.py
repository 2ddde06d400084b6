"""What the templates and conditions of a step see: the outputs by name, and inside an iteration those of that one."""

from typing import Any
from uuid import UUID

import msgspec

from services.workflow.domain.language.program import Node
from services.workflow.domain.language.steps import STEPS, ForeachStep
from services.workflow.domain.outputs import last_output
from services.workflow.domain.state import COMPLETED, ExecutionState, StepState
from services.workflow.domain.where import iteration_around, split_iteration


def opening_scope(execution_id: UUID, tenant_id: UUID, input_: Any, context: dict[str, Any]) -> dict[str, Any]:
    """Return what an execution sees before its first step."""
    return {
        "input": input_,
        "execution": {"id": str(execution_id), "context": context},
        "tenant": {"id": str(tenant_id)},
    }


def scope_at(state: ExecutionState, node: Node, path: str) -> dict[str, Any]:
    """Return the names that a step sees. Inside an iteration it is made anew: the state keeps nothing a second time."""
    if node.repeats is None:
        return state.scope
    return scope_inside(state, node.repeats, iteration_around(path))


def scope_inside(state: ExecutionState, holder: Node, iteration: str) -> dict[str, Any]:
    """Return what is seen inside an iteration (`each[3]`) of a step that repeats others."""
    path, index = split_iteration(iteration)
    around = state.scope if holder.repeats is None else scope_inside(state, holder.repeats, iteration_around(path))
    scope = {**around, **_locals(state, holder, path, index)}
    for name, inside in holder.seen:
        step = state.steps.get(f"{iteration}/{inside}")
        if step is not None:
            _see(scope, name, step)
    return scope


def _see(scope: dict[str, Any], name: str, step: StepState) -> None:
    if step.status == COMPLETED:
        scope[name] = step.output
    elif step.let_pass and step.error is not None:
        scope[name] = {"error": msgspec.to_builtins(step.error)}


def _locals(state: ExecutionState, holder: Node, path: str, index: int) -> dict[str, Any]:
    if isinstance(holder.step, ForeachStep):
        item, place = holder.step.locals()
        return {item: state.steps[path].input[index], place: index}
    [name] = holder.step.locals()
    previous = last_output(state, holder.children[STEPS], f"{path}[{index - 1}]") if index else None
    return {name: {"index": index, "previous": previous}}
