"""`tools/call` at the MCP endpoint: from a client's request to a call like any other, and back."""

from typing import Any

import msgspec

from services.mcp_gateway.app.calls import ToolCalls
from services.mcp_gateway.app.offers import Offers
from services.mcp_gateway.domain.call import CallFailure, CallOutcome, CallRequest
from services.mcp_gateway.domain.offers import Offered
from services.mcp_gateway.domain.param_headers import param_mismatch
from services.mcp_gateway.domain.rpc import HEADER_MISMATCH, INVALID_PARAMS, RpcError, RpcFailed, refused
from services.mcp_gateway.entry.mcp.inbound import Inbound
from services.mcp_gateway.entry.mcp.wire import in_era
from services.mcp_gateway.limits import MCP_CALL_SECONDS
from shared.ids import new_id

META_ERROR = "agentic-platform/error"
META_EXECUTION = "agentic-platform/executionId"


class CallTool:
    """Calls a tool for an MCP client. A failed call is a result that says so, which the client's model can read."""

    def __init__(self, offers: Offers, calls: ToolCalls) -> None:
        self._offers = offers
        self._calls = calls

    async def __call__(self, inbound: Inbound) -> Any:
        """Return the tool's result. Raises `RpcFailed` for what is wrong with the request itself."""
        name, arguments = inbound.params.get("name"), inbound.params.get("arguments")
        if not isinstance(name, str):
            raise refused(INVALID_PARAMS, "Invalid params: `name` is missing")
        if arguments is not None and not isinstance(arguments, dict):
            raise refused(INVALID_PARAMS, "Invalid params: `arguments` is no object")
        tool = await self._offers.tool(inbound.scope, inbound.profile, name)
        _check_headers(inbound, tool, arguments)
        request = CallRequest(
            id=new_id(),
            server=str(tool.server.id),
            tool_name=tool.own_name,
            arguments=arguments or {},
            timeout_seconds=MCP_CALL_SECONDS,
            profile=inbound.profile,
        )
        outcome = await self._calls.execute(inbound.scope, request, inbound.relay)
        return _result(inbound, outcome)


def _check_headers(inbound: Inbound, tool: Offered, arguments: Any) -> None:
    if not inbound.modern or not tool.param_headers:
        return
    wrong = param_mismatch(tool.param_headers, arguments, inbound.headers)
    if wrong is not None:
        raise refused(HEADER_MISMATCH, f"The header {wrong} does not say what the arguments say")


def _result(inbound: Inbound, outcome: CallOutcome) -> Any:
    failure = outcome.failure
    if failure is not None and "rpc_code" in failure.details:
        details = failure.details
        raise RpcFailed(RpcError(details["rpc_code"], details.get("rpc_message", ""), details.get("rpc_data")))
    if outcome.answer is not None and (failure is None or failure.code == "tool_error"):
        return in_era(outcome.answer, modern=inbound.modern)
    result = _completed(outcome) if failure is None else _failed(failure)
    result["_meta"] = {**result.get("_meta", {}), META_EXECUTION: str(outcome.id)}
    if inbound.modern:
        result["resultType"] = "complete"
    return result


def _completed(outcome: CallOutcome) -> dict[str, Any]:
    output = outcome.result
    text = output if isinstance(output, str) else msgspec.json.encode(output).decode()
    structured = output if isinstance(output, dict) else {"result": output}
    return {"content": [{"type": "text", "text": text}], "structuredContent": structured}


def _failed(failure: CallFailure) -> dict[str, Any]:
    faults = [f"{fault.path}: {fault.message}" if fault.path else fault.message for fault in failure.faults]
    text = "\n".join([failure.message, *(fault for fault in faults if fault not in failure.message)])
    error = {"code": failure.code, "retryable": failure.retryable}
    return {"content": [{"type": "text", "text": text}], "isError": True, "_meta": {META_ERROR: error}}
