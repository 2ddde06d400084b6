"""`/api/v1/workflows/workflows/executions/{id}/…`: telling an execution what to do, and forking it."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, post
from litestar.datastructures import State

from services.workflow.app.queries import ExecutionView
from services.workflow.app.states import state_of
from services.workflow.domain.events import Origin
from services.workflow.entry.bodies import whole_body
from services.workflow.entry.messages import (
    Action,
    CancelAction,
    ControlExecution,
    DecideAction,
    PauseAction,
    Reason,
    ResumeAction,
    RetryAction,
    SignalAction,
    StartExecution,
    TerminateAction,
    WorkflowRef,
)
from services.workflow.entry.views import ONE_EXECUTION, shown_execution, workflow_row
from services.workflow.limits import MAX_INPUT_BYTES, MAX_NAME_CHARS, MAX_STEP_NAME_CHARS, MAX_TEXT_CHARS
from shared.auth.scopes import WORKFLOWS_EXECUTE
from shared.errors import InvalidInput
from shared.http.idempotency import key_of, once
from shared.http.positions import EVENT_POSITION, reached
from shared.ids import new_id
from shared.scope import TenantScope

_TAGS = ["executions"]


class ReasonRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Why; it stands in the history."""

    reason: Reason = "by request"


class SignalRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What a signal carries."""

    data: Any = None


class ForkRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Where a fork leaves its origin (the path of a step), and what is different from there on.

    Steps that were over before that one keep what they gave. Without `workflow_id` and `revision` it runs the revision
    that the origin ran; `workflow_id` alone means that workflow's active revision.
    """

    from_step: Annotated[str, msgspec.Meta(min_length=1, max_length=20 * MAX_STEP_NAME_CHARS)]
    input_data: Any = msgspec.UNSET
    context: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    workflow_id: WorkflowRef | None = None
    revision: Annotated[int, msgspec.Meta(ge=1)] | None = None


class DecisionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A decision on an approval; `data` fits its form."""

    approved: bool
    comment: Annotated[str, msgspec.Meta(max_length=MAX_TEXT_CHARS)] = ""
    data: Any = None


async def _tell(state: State, caller: TenantScope, execution_id: UUID, action: Action) -> Response[ExecutionView]:
    await state.executions.row(caller, execution_id)
    answer = await state.sender.control(ControlExecution(execution_id, caller.tenant_id, action, caller.actor))
    headers = {EVENT_POSITION: str(answer.position)} if answer.position else {}
    return Response(await shown_execution(state, caller, execution_id), headers=headers)


@post(ONE_EXECUTION + "/cancel", opt={"scope": WORKFLOWS_EXECUTE}, summary="Cancel it", tags=_TAGS, status_code=200)
async def cancel(
    caller: TenantScope, state: State, execution_id: UUID, data: ReasonRequest | None = None
) -> Response[ExecutionView]:
    """End an execution, once what asks for it is undone. One that ended already stays as it is."""
    return await _tell(state, caller, execution_id, CancelAction((data or ReasonRequest()).reason))


@post(
    ONE_EXECUTION + "/terminate", opt={"scope": WORKFLOWS_EXECUTE}, summary="End it at once", tags=_TAGS,
    status_code=200,
)  # fmt: skip
async def terminate(
    caller: TenantScope, state: State, execution_id: UUID, data: ReasonRequest | None = None
) -> Response[ExecutionView]:
    """End an execution at once, undoing nothing. One that ended already stays as it is."""
    return await _tell(state, caller, execution_id, TerminateAction((data or ReasonRequest()).reason))


@post(ONE_EXECUTION + "/pause", opt={"scope": WORKFLOWS_EXECUTE}, summary="Pause it", tags=_TAGS, status_code=200)
async def pause(
    caller: TenantScope, state: State, execution_id: UUID, data: ReasonRequest | None = None
) -> Response[ExecutionView]:
    """Begin nothing more until it is resumed: what a worker does goes on, and its result is kept until then."""
    return await _tell(state, caller, execution_id, PauseAction((data or ReasonRequest()).reason))


@post(ONE_EXECUTION + "/resume", opt={"scope": WORKFLOWS_EXECUTE}, summary="Resume it", tags=_TAGS, status_code=200)
async def resume(caller: TenantScope, state: State, execution_id: UUID) -> Response[ExecutionView]:
    """Go on after a pause. What falls due is later by as long as it was paused."""
    return await _tell(state, caller, execution_id, ResumeAction())


@post(
    ONE_EXECUTION + "/retry", opt={"scope": WORKFLOWS_EXECUTE}, summary="Retry from what failed", tags=_TAGS,
    status_code=200,
)  # fmt: skip
async def retry(
    request: Request[Any, Any, Any], caller: TenantScope, state: State, execution_id: UUID
) -> Response[ExecutionView]:
    """Go on with an execution that failed or was cancelled: what did not end well begins anew, the rest is kept.

    With an `Idempotency-Key` it does so once, also when it has failed again meanwhile.
    """

    async def handle(_: UUID) -> Response[Any]:
        return await _tell(state, caller, execution_id, RetryAction())

    return await once(request, caller, state.tenants, handle)


@post(
    ONE_EXECUTION + "/signals/{name:str}", opt={"scope": WORKFLOWS_EXECUTE}, summary="Send it a signal", tags=_TAGS,
    status_code=200,
)  # fmt: skip
async def signal(
    request: Request[Any, Any, Any], caller: TenantScope, state: State, execution_id: UUID, name: str
) -> Response[ExecutionView]:
    """Tell an execution that something happened: a step that waits for it goes on, now or once it comes to that.

    The `Idempotency-Key` names the signal: sent again with the same key it counts once.
    """
    body = await whole_body(request, SignalRequest, MAX_INPUT_BYTES)
    if len(name) > MAX_NAME_CHARS:
        raise InvalidInput(f"The name of a signal has at most {MAX_NAME_CHARS} characters.")
    key = key_of(request)
    action = SignalAction(name, str(new_id()) if key is None else key, body.data)
    return await _tell(state, caller, execution_id, action)


@post(ONE_EXECUTION + "/fork", opt={"scope": WORKFLOWS_EXECUTE}, summary="Fork it", tags=_TAGS, status_code=202)
async def fork(
    request: Request[Any, Any, Any], caller: TenantScope, state: State, execution_id: UUID
) -> Response[ExecutionView]:
    """Start an execution that has done what this one had done before one of its steps, and goes its own way then."""
    body = await whole_body(request, ForkRequest, MAX_INPUT_BYTES)

    async def handle(new: UUID) -> Response[Any]:
        origin = state_of(await state.executions.history(caller, execution_id))
        workflow, revision = str(origin.workflow_id), body.revision or origin.revision
        if body.workflow_id is not None:
            row = await workflow_row(state, caller, body.workflow_id)
            workflow, revision = str(row["id"]), body.revision or row["revision"]
        command = StartExecution(
            new,
            caller.tenant_id,
            workflow,
            origin.scope["input"] if body.input_data is msgspec.UNSET else body.input_data,
            origin.context if isinstance(body.context, msgspec.UnsetType) else body.context,
            revision,
            "fork",
            caller.actor,
            request.state.traceparent,
            origin.priority,
            origin.attributes,
            origin.tags,
            forked_from=Origin(execution_id, body.from_step),
        )
        answer = await state.sender.start(command)
        headers = {"Location": ONE_EXECUTION.replace("{execution_id:uuid}", str(new))}
        if answer.position:
            headers[EVENT_POSITION] = str(answer.position)
        return Response(await shown_execution(state, caller, new), status_code=202, headers=headers)

    return await once(request, caller, state.tenants, handle)


@post(
    "/api/v1/workflows/approvals/{approval_id:uuid}", opt={"scope": WORKFLOWS_EXECUTE}, summary="Decide on it",
    tags=["approvals"], status_code=200,
)  # fmt: skip
async def decide(
    request: Request[Any, Any, Any], caller: TenantScope, state: State, approval_id: UUID
) -> Response[ExecutionView]:
    """Approve or reject. Only those who are asked may; a second decision is refused."""
    body = await whole_body(request, DecisionRequest, MAX_INPUT_BYTES)
    await reached(request, state.waits.projected_upto)
    wait = await state.waits.row(caller, approval_id, ("approval",))
    action = DecideAction(wait["path"], body.approved, body.comment, body.data)
    return await _tell(state, caller, wait["execution_id"], action)


HANDLERS: list[Any] = [cancel, terminate, pause, resume, retry, signal, fork, decide]
