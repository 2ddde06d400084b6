"""The tools that stand beside the workflows: they look at executions and end them."""

from typing import Any

from services.mcp_gateway.limits import WORKFLOW_RESULT_SECONDS_MAX, WORKFLOW_WAIT_SECONDS

STATUS, RESULT_OF, CANCEL = "workflow_status", "workflow_result", "workflow_cancel"
_ID = {"type": "string", "format": "uuid", "description": "The `execution_id` that the call of a workflow gave."}


def _arguments(**more: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"execution_id": _ID, **more},
        "required": ["execution_id"],
        "additionalProperties": False,
    }


EXECUTION_TOOLS: dict[str, dict[str, Any]] = {
    STATUS: {
        "title": "Status of an execution",
        "description": "Says where an execution of a workflow stands, how many of its steps are done, and what it "
        "waits for.",
        "inputSchema": _arguments(),
        "annotations": {"readOnlyHint": True},
    },
    RESULT_OF: {
        "title": "Result of an execution",
        "description": "Waits for an execution of a workflow and returns its output. While it has not ended, the "
        "answer has its `status` instead, and can be asked for again.",
        "inputSchema": _arguments(
            wait_seconds={
                "type": "number",
                "minimum": 0,
                "maximum": WORKFLOW_RESULT_SECONDS_MAX,
                "default": WORKFLOW_WAIT_SECONDS,
                "description": "How long to wait at most, within the time of the call.",
            }
        ),
        "annotations": {"readOnlyHint": True},
    },
    CANCEL: {
        "title": "Cancel an execution",
        "description": "Ends an execution of a workflow; what its steps have to undo is undone first.",
        "inputSchema": _arguments(),
        "annotations": {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": True},
    },
}
"""By name, as MCP lists them."""
