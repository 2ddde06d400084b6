"""The client's side of the wire: JSON-RPC 2.0 messages of both MCP eras, by msgspec, without the SDK."""

from typing import Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from services.mcp_gateway.adapters.mcp.model import ServerInfo, ToolDefinition, ToolResult
from services.mcp_gateway.errors import ProtocolViolation

HANDSHAKE_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN_VERSION = "2026-07-28"

METHOD_NOT_FOUND = -32601
INTERNAL_ERROR = -32603
HEADER_MISMATCH = -32020
INVALID_PARAMS = -32602

CLIENT_INFO = {"name": "agentic-platform", "version": "0.1.0"}
_SERVER_INFO_META = "io.modelcontextprotocol/serverInfo"
_MODERN_META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": MODERN_VERSION,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": CLIENT_INFO,
}

_encode = msgspec.json.Encoder().encode


class RpcError(msgspec.Struct, frozen=True):
    """The `error` of a JSON-RPC response."""

    code: int
    message: str = ""
    data: Any = None


class RpcFailed(Exception):
    """The peer answered a request with an error."""

    def __init__(self, error: RpcError) -> None:
        super().__init__(f"{error.code}: {error.message}")
        self.error = error


class Incoming(msgspec.Struct, frozen=True):
    """Any message of a server. A response has `id` and `result` or `error`; a request `id` and `method`."""

    jsonrpc: Literal["2.0"]
    id: int | str | UnsetType | None = UNSET
    method: str | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: RpcError | UnsetType = UNSET


class Handshake(msgspec.Struct, frozen=True, rename="camel"):
    """The result of `initialize`."""

    protocol_version: str
    server_info: ServerInfo = ServerInfo()
    capabilities: dict[str, Any] = {}


class Discovery(msgspec.Struct, frozen=True, rename={"supported_versions": "supportedVersions", "meta": "_meta"}):
    """The result of `server/discover`."""

    supported_versions: list[str]
    capabilities: dict[str, Any] = {}
    meta: dict[str, Any] | None = None

    def server_info(self) -> ServerInfo:
        try:
            return msgspec.convert((self.meta or {}).get(_SERVER_INFO_META) or {}, ServerInfo)
        except msgspec.ValidationError:
            return ServerInfo()  # optional and for display only: not worth a failed connection


class ToolsPage(msgspec.Struct, frozen=True, rename="camel"):
    """One page of `tools/list`."""

    tools: list[ToolDefinition]
    next_cursor: str | None = None


class _CallResult(msgspec.Struct, frozen=True, rename="camel"):
    content: list[dict[str, Any]] = []
    structured_content: Any = None
    is_error: bool | None = None
    result_type: str = "complete"


_incoming = msgspec.json.Decoder(Incoming)
_handshake = msgspec.json.Decoder(Handshake)
_discovery = msgspec.json.Decoder(Discovery)
_tools_page = msgspec.json.Decoder(ToolsPage)
_call_result = msgspec.json.Decoder(_CallResult)
_any = msgspec.json.Decoder()

_T = TypeVar("_T")


def _decode(decoder: "msgspec.json.Decoder[_T]", raw: Raw, what: str) -> _T:
    try:
        return decoder.decode(raw)
    except (ValueError, RecursionError) as error:
        raise ProtocolViolation(f"The server's answer to {what} has the wrong shape: {str(error)[:200]}") from error


def encode_request(request_id: int, method: str, params: dict[str, Any], *, modern: bool) -> bytes:
    if modern:
        params = {**params, "_meta": _MODERN_META}
    return _encode({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


def encode_notification(method: str, params: dict[str, Any] | None = None) -> bytes:
    if params is None:
        return _encode({"jsonrpc": "2.0", "method": method})
    return _encode({"jsonrpc": "2.0", "method": method, "params": params})


def encode_reply(request_id: int | str, result: dict[str, Any]) -> bytes:
    return _encode({"jsonrpc": "2.0", "id": request_id, "result": result})


def encode_refusal(request_id: int | str, code: int, message: str) -> bytes:
    return _encode({"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}})


def decode_incoming(line: bytes) -> Incoming:
    """Decode one message. Raises `ProtocolViolation`."""
    try:
        return _incoming.decode(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolViolation("The server sent something that is no JSON-RPC message.") from error


def decode_handshake(raw: Raw) -> Handshake:
    return _decode(_handshake, raw, "initialize")


def decode_discovery(raw: Raw) -> Discovery:
    return _decode(_discovery, raw, "server/discover")


def decode_tools_page(raw: Raw) -> ToolsPage:
    return _decode(_tools_page, raw, "tools/list")


def decode_params(raw: Raw | UnsetType) -> Any:
    """Decode the params of a notification; what cannot be decoded is a violation like any other."""
    return None if raw is UNSET else _decode(_any, raw, "notification")


def decode_tool_result(raw: Raw, duration_ms: float) -> ToolResult:
    """Decode a call's result. A structured value that is no object is wrapped as `{"result": value}`.

    Raises `ProtocolViolation`, also for `input_required` (2026-07-28): we declare no capability that would allow it.
    """
    result = _decode(_call_result, raw, "tools/call")
    if result.result_type != "complete":
        raise ProtocolViolation(
            f"The tool answered with a {result.result_type[:40]!r} result, which this client did not offer to take."
        )
    structured = result.structured_content
    if structured is not None and not isinstance(structured, dict):
        structured = {"result": structured}
    return ToolResult(result.content, structured, bool(result.is_error), duration_ms)
