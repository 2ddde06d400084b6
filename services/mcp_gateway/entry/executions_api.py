"""`/api/v1/mcp/execute` and the history of calls."""

from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.params import Parameter

from services.mcp_gateway.app.calls import ToolCalls
from services.mcp_gateway.app.ports import Records
from services.mcp_gateway.app.reading import CallFilter, Reads
from services.mcp_gateway.domain.call import CallRequest
from services.mcp_gateway.entry.shapes import (
    ExecuteAnswer,
    ExecuteRequest,
    ExecutionList,
    ExecutionView,
    execute_answer,
    execution_view,
)
from services.mcp_gateway.errors import CallFailed
from shared.auth.scopes import MCP_EXECUTE, MCP_READ
from shared.db.pool import TenantPool
from shared.errors import NotFound
from shared.http.idempotency import once
from shared.http.json_response import JsonResponse
from shared.http.pages import DEFAULT_LIMIT, Cursor, Limit, Offset, cut, decode_place
from shared.http.positions import EVENT_POSITION
from shared.paging import Place
from shared.scope import TenantScope

_TAGS = ["mcp executions"]
_TOOL_SAID = "tool_error"


@post("/api/v1/mcp/execute", opt={"scope": MCP_EXECUTE}, status_code=200, summary="Call a tool", tags=_TAGS)
async def execute(
    request: Request[Any, Any, Any], data: ExecuteRequest, caller: TenantScope, state: State
) -> Response[ExecuteAnswer]:
    """Call a tool and wait for its result.

    A failure that the tool reports is an answer with `status` `failed`; every other failure is a problem whose
    `details.execution_id` names the call in the history. `X-Event-Position` is there when the call's end was on disk
    before this answer: that of a tool which may be repeated is written later.
    """
    calls: ToolCalls = state.calls
    tenants: TenantPool = state.tenants

    async def handle(call_id: UUID) -> Response[ExecuteAnswer]:
        call = CallRequest(
            id=call_id,
            server=data.server_id,
            tool_name=data.tool_name,
            arguments=data.tool_input,
            timeout_seconds=data.timeout_seconds,
            agent_id=data.agent_id,
            conversation_id=data.conversation_id,
        )
        outcome = await calls.execute(caller, call)
        failure = outcome.failure
        if failure is not None and failure.code != _TOOL_SAID:
            raise CallFailed(failure, outcome.id)
        headers = {} if outcome.position is None else {EVENT_POSITION: str(outcome.position)}
        return JsonResponse(execute_answer(outcome), headers=headers)

    return await once(request, caller, tenants, handle)


@get("/api/v1/mcp/executions", opt={"scope": MCP_READ}, summary="The history of calls", tags=_TAGS)
async def list_executions(
    caller: TenantScope,
    state: State,
    server_id: UUID | None = None,
    tool_name: Annotated[str | None, Parameter(max_length=256, pattern=r"^[^\x00]*$")] = None,
    status: Literal["running", "completed", "failed"] | None = None,
    offset: Offset = 0,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> ExecutionList:
    """List calls, the latest first. Inputs and outputs above 64 KiB are left out; one call shows them."""
    views: Reads = state.views
    records: Records = state.records
    await records.settled(caller.tenant_id)
    before = decode_place(cursor)
    wanted = CallFilter(server_id, tool_name, status)
    rows, total = await views.calls(caller, wanted, limit + 1, 0 if before else offset, before)
    shown, following = cut(rows, limit, lambda row: Place(row.started_at, row.id))
    return ExecutionList([execution_view(row) for row in shown], total, offset, limit, following)


@get("/api/v1/mcp/executions/{execution_id:uuid}", opt={"scope": MCP_READ}, summary="One call", tags=_TAGS)
async def get_execution(execution_id: UUID, caller: TenantScope, state: State) -> ExecutionView:
    """Return one call in full."""
    views: Reads = state.views
    records: Records = state.records
    row = await views.call(caller, execution_id)
    if row is None:
        await records.settled(caller.tenant_id)
        row = await views.call(caller, execution_id)
    if row is None:
        raise NotFound("There is no such tool execution.")
    return execution_view(row)


EXECUTION_ROUTES: list[Any] = [execute, list_executions, get_execution]
