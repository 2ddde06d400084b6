"""What a group of steps gives to those who come after."""

from collections.abc import Sequence
from typing import Any

import msgspec

from services.workflow.domain.language.program import Node
from services.workflow.domain.state import COMPLETED, ExecutionState


def last_output(state: ExecutionState, sequence: Sequence[Node], within: str) -> Any:
    """Return the output of the last step of a sequence that completed, None if none did.

    `within` is the holder's path, with its iteration if it has any; "" at the top.
    """
    for node in reversed(sequence):
        step = state.steps.get(f"{within}/{node.name}" if within else node.name)
        if step is not None and step.status == COMPLETED:
            return step.output
    return None


def outputs_of_parallel(state: ExecutionState, children: Sequence[Node], within: str) -> dict[str, Any]:
    """Return the outputs by name and by place (`step_0`, …), of the children that completed."""
    outputs: dict[str, Any] = {}
    for index, node in enumerate(children):
        step = state.steps.get(f"{within}/{node.name}")
        if step is not None and step.status == COMPLETED:
            outputs[node.name] = outputs[f"step_{index}"] = step.output
    return outputs


def outputs_of_iterations(state: ExecutionState, sequence: Sequence[Node], holder: str, count: int) -> list[Any]:
    """Return what each iteration gave, in order."""
    return [last_output(state, sequence, f"{holder}[{index}]") for index in range(count)]


def output_of_agent(raw: Any, task_id: str) -> Any:
    """Return an agent's answer; if it is a JSON object, that as `data`, with its fields beside the answer's own."""
    if not isinstance(raw, dict):
        return raw
    own = {"response": None, **raw, "task_id": task_id}
    data = own.get("data", _object_in(own["response"]))
    return {**data, **own, "data": data} if isinstance(data, dict) else own


def _object_in(response: Any) -> Any:
    if isinstance(response, str) and response.lstrip().startswith("{"):
        try:
            return msgspec.json.decode(response)
        except (msgspec.DecodeError, RecursionError):
            return None
    return response
