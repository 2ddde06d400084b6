"""What a group of steps gives to those who come after."""

from collections.abc import Sequence
from typing import Any

from services.workflow.domain.language.program import Node
from services.workflow.domain.state import COMPLETED, ExecutionState


def last_output(state: ExecutionState, sequence: Sequence[Node]) -> Any:
    """Return the output of the last step of a sequence that completed, None if none did."""
    for node in reversed(sequence):
        step = state.steps.get(node.path)
        if step is not None and step.status == COMPLETED:
            return step.output
    return None


def outputs_of_parallel(state: ExecutionState, children: Sequence[Node]) -> dict[str, Any]:
    """Return the outputs by name and by place (`step_0`, …), of the children that completed."""
    outputs: dict[str, Any] = {}
    for index, node in enumerate(children):
        step = state.steps.get(node.path)
        if step is not None and step.status == COMPLETED:
            outputs[node.name] = outputs[f"step_{index}"] = step.output
    return outputs
