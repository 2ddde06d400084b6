"""Running a request to its encoded answer: whatever goes wrong becomes the JSON-RPC error that says so."""

import logging

from services.mcp_gateway.domain.rpc import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    PARSE_ERROR,
    UNSUPPORTED_VERSION,
    RpcError,
    RpcFailed,
)
from services.mcp_gateway.entry.mcp.inbound import Inbound
from services.mcp_gateway.entry.mcp.methods import Method
from services.mcp_gateway.entry.mcp.streams import Answer
from services.mcp_gateway.entry.mcp.wire import RequestId, error_of, result_of
from shared.errors import PlatformError
from shared.telemetry.trace import current_trace_id

_log = logging.getLogger(__name__)

STATUSES = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    INVALID_PARAMS: 400,
    HEADER_MISMATCH: 400,
    MISSING_CAPABILITY: 400,
    UNSUPPORTED_VERSION: 400,
    METHOD_NOT_FOUND: 404,
}
"""HTTP statuses of JSON-RPC errors in the modern era; others, and all before it, are 200."""


async def run(method: Method, request_id: RequestId, inbound: Inbound) -> Answer:
    """Answer one request."""
    try:
        return Answer(result_of(request_id, await method(inbound)))
    except RpcFailed as failure:
        error = failure.error
    except PlatformError as refusal:
        data = {"code": refusal.code, **refusal.details}
        if refusal.retry_after is not None:
            data["retry_after"] = refusal.retry_after
        error = RpcError(INTERNAL_ERROR, refusal.message, data)
    except Exception:  # noqa: BLE001 - a bug is an answer too; what it was stands in the log
        _log.exception("%s failed", inbound.method)
        error = RpcError(INTERNAL_ERROR, "Something failed on our side.", {"trace_id": current_trace_id()})
    return refusal_of(request_id, error, modern=inbound.modern)


def refusal_of(request_id: RequestId | None, error: RpcError, *, modern: bool) -> Answer:
    """Return an error as an answer."""
    return Answer(error_of(request_id, error), STATUSES.get(error.code, 200) if modern else 200)
