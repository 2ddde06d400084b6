"""Why a request is turned away before any message of it is dispatched."""

from http import HTTPStatus

from services.mcp_gateway.servers.wire import INVALID_REQUEST, RpcFault, encode_fault


class HttpRefused(Exception):
    """An HTTP error. Its body is a JSON-RPC error without an id, as clients of MCP expect one."""

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        *,
        headers: dict[str, str] | None = None,
        code: int = INVALID_REQUEST,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body = encode_fault(None, RpcFault(code, message)).data
