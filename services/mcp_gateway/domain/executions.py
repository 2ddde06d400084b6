"""An execution of a workflow, as the workflow service tells of it, and what a tool says of it."""

import datetime as dt
from typing import Any
from uuid import UUID

import msgspec

COMPLETED, FAILED, CANCELLED, WAITING = "completed", "failed", "cancelled", "waiting"
RESULT = "result"
"""The member that an output is put in which is no object: MCP takes nothing else as structured content."""

_GO_ON = (
    "It goes on by itself. Ask for its result with `workflow_result` and this `execution_id`; `workflow_status` says "
    "where it stands, `workflow_cancel` ends it."
)
HANDLE_SCHEMA = {
    "type": "object",
    "properties": {
        "status": {"enum": ["pending", "running", "waiting", "paused"]},
        "execution_id": {"type": "string", "format": "uuid"},
        "how_to_go_on": {"type": "string"},
        "waits_for": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["status", "execution_id", "how_to_go_on"],
}
"""Of the answer while an execution has not ended."""


class WaitsFor(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a step waits for: a signal by `name` (`event`), or a person's decision (`approval`)."""

    kind: str
    name: str
    step: str
    deadline: dt.datetime | None = None


class Standing(msgspec.Struct, frozen=True):
    """An execution after `version` events. Steps are those at the top of its definition."""

    execution_id: UUID
    status: str
    version: int
    started_at: dt.datetime
    workflow_id: UUID | None = None
    completed_at: dt.datetime | None = None
    steps_done: int = 0
    steps_total: int | None = None
    waits_for: list[WaitsFor] = []
    output: Any = None
    error: dict[str, Any] | None = None

    @property
    def ended(self) -> bool:
        """Whether it has a result, or never will."""
        return self.status in {COMPLETED, FAILED, CANCELLED}

    @property
    def waits(self) -> bool:
        """Whether nothing goes on until somebody or something outside does what it waits for."""
        return self.status == WAITING and bool(self.waits_for)


class Said(msgspec.Struct, frozen=True):
    """What a tool answers. `text` is for those who read no structured content."""

    structured: dict[str, Any]
    text: str
    is_error: bool = False


def said_of_result(execution_id: UUID, standing: Standing | None) -> Said:
    """Return the output of an execution, why it has none, or how to go on. None: it is not known to have begun."""
    if standing is None or not standing.ended:
        return _said(_handle(execution_id, standing))
    if standing.status == COMPLETED:
        output = standing.output
        return _said(output if isinstance(output, dict) else {RESULT: output})
    told = standing.error or {}
    if standing.status == CANCELLED:
        told = {"code": "execution_cancelled", "message": "The execution was cancelled.", "details": told}
    return refused(
        str(told.get("code", "execution_failed")),
        str(told.get("message", "The execution failed.")),
        execution_id=str(execution_id),
        **{name: told[name] for name in ("step", "attempt", "details") if told.get(name)},
    )


def said_of_status(standing: Standing) -> Said:
    """Return where an execution stands, without its output."""
    told: dict[str, Any] = {
        "execution_id": str(standing.execution_id),
        "workflow_id": None if standing.workflow_id is None else str(standing.workflow_id),
        "status": standing.status,
        "steps_done": standing.steps_done,
        "steps_total": standing.steps_total,
        "started_at": standing.started_at,
        "completed_at": standing.completed_at,
    }
    if standing.waits_for:
        told["waits_for"] = standing.waits_for
    if standing.error is not None:
        told["error"] = standing.error
    return _said(msgspec.to_builtins(told))


def said_of_cancelling(execution_id: UUID) -> Said:
    """Return the answer to a wish to cancel that is kept until the workflow service is back."""
    return _said({"execution_id": str(execution_id), "status": "cancelling"})


def refused(code: str, message: str, **details: Any) -> Said:
    """Return the answer of a tool that failed."""
    return Said({"error": {"code": code, "message": message, **details}}, message, is_error=True)


def _handle(execution_id: UUID, standing: Standing | None) -> dict[str, Any]:
    handle: dict[str, Any] = {
        "status": "pending" if standing is None else standing.status,
        "execution_id": str(execution_id),
        "how_to_go_on": _GO_ON,
    }
    if standing is not None and standing.waits_for:
        handle["waits_for"] = msgspec.to_builtins(standing.waits_for)
    return handle


def _said(structured: dict[str, Any]) -> Said:
    return Said(structured, msgspec.json.encode(structured).decode())
