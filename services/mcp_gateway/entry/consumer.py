"""Tool calls as tasks from the bus: `commands.mcp.execute-tool`."""

import time
from typing import Annotated, Any
from uuid import UUID

import msgspec

from services.mcp_gateway.app.calls import ToolCalls
from services.mcp_gateway.domain.call import RETRYABLE, CallOutcome, CallRequest
from services.mcp_gateway.entry.shapes import Seconds, ServerReference, ToolName
from services.mcp_gateway.errors import ToolTimeout
from services.mcp_gateway.limits import TASK_ANSWER_SECONDS, TASK_RESULT_MAX_BYTES
from shared.bus.tasks import Task, TaskError, TaskResult, task_id_of
from shared.errors import InvalidInput, PlatformError
from shared.ids import derived_id
from shared.scope import TenantScope

SUBJECT = "commands.mcp.execute-tool"


class ToolPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a tool task asks for. `secret_paths` are the places that name secrets, all of them in `arguments`.

    `timeout_seconds` can only shorten the time that the task has, and that the server's owner gives.
    """

    server_id: ServerReference
    tool_name: ToolName
    arguments: dict[str, Any] = {}
    timeout_seconds: Seconds | None = None
    secret_paths: Annotated[list[list[str | int]], msgspec.Meta(max_length=1_000)] = []


class ToolTasks:
    """Does tool tasks; `do` is what `shared.bus.worker` calls."""

    def __init__(self, calls: ToolCalls) -> None:
        self._calls = calls

    async def do(self, task: Task) -> TaskResult:
        """Call the tool that a task names and return the task's result."""
        try:
            return _ended(task, await self._calls.execute(*_asked(task)))
        except PlatformError as error:
            # An unknown server is, to the step that names it, a tool that is not there.
            code = "tool_not_found" if error.code == "not_found" else error.code
            return _failed(task, TaskError(code, error.message, code in RETRYABLE, error.details))


def _asked(task: Task) -> tuple[TenantScope, CallRequest]:
    try:
        payload = msgspec.convert(task.payload, ToolPayload)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidInput(f"The task is not one for a tool: {error}") from error
    if any(path[:1] != ["arguments"] for path in payload.secret_paths):
        raise InvalidInput("The task is not one for a tool: secrets can stand only in its arguments.")
    deadline = task.deadline_ms / 1000.0
    left = deadline - time.time()
    if left <= 0:
        raise ToolTimeout("The task's time was over before it was begun: nothing was called.")
    # The engine's own timeout does not know of tools that act and may repeat them: the call's end has to come first.
    deadline -= min(TASK_ANSWER_SECONDS, left / 10.0)
    request = CallRequest(
        id=_id_of(task.task_id),
        server=payload.server_id,
        tool_name=payload.tool_name,
        arguments=payload.arguments,
        timeout_seconds=payload.timeout_seconds,
        deadline=deadline,
        result_max_bytes=TASK_RESULT_MAX_BYTES,
        task_id=task.task_id,
        correlation_id=str(task.execution_id),
        attempt=task.attempt,
        secret_paths=tuple(tuple(path[1:]) for path in payload.secret_paths),
        parent_id=_id_of(task_id_of(task.execution_id, task.step_path, 1)) if task.attempt > 1 else None,
    )
    return TenantScope(task.tenant_id, "service:workflow"), request


def _id_of(task_id: str) -> UUID:
    return derived_id("tool-call", task_id)


def _ended(task: Task, outcome: CallOutcome) -> TaskResult:
    failure = outcome.failure
    if failure is not None:
        faults = {"faults": msgspec.to_builtins(failure.faults)} if failure.faults else {}
        error = TaskError(failure.code, failure.message, failure.retryable, {**failure.details, **faults})
        return _failed(task, error, outcome.duration_ms)
    return TaskResult(
        task.execution_id, task.step_path, task.attempt, "ok", outcome.result, duration_ms=outcome.duration_ms
    )


def _failed(task: Task, error: TaskError, duration_ms: float = 0.0) -> TaskResult:
    return TaskResult(task.execution_id, task.step_path, task.attempt, "error", error=error, duration_ms=duration_ms)
