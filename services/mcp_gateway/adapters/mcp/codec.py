"""The client's side of the wire: JSON-RPC 2.0 messages of both MCP eras, by msgspec, without the SDK."""

from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from services.mcp_gateway.adapters.mcp.model import ServerInfo, ToolDefinition, ToolResult
from services.mcp_gateway.app.relay import Relay
from services.mcp_gateway.domain.rpc import (
    META_CAPABILITIES,
    META_CLIENT,
    META_LOG_LEVEL,
    META_SERVER,
    META_VERSION,
    MODERN_VERSION,
    Message,
    RpcError,
)
from services.mcp_gateway.errors import ProtocolViolation

INPUT_REQUIRED = "input_required"
CLIENT_INFO = {"name": "agentic-platform", "version": "0.1.0"}
_MODERN_META: dict[str, Any] = {META_VERSION: MODERN_VERSION, META_CAPABILITIES: {}, META_CLIENT: CLIENT_INFO}

_encode = msgspec.json.Encoder().encode


class Handshake(msgspec.Struct, frozen=True, rename="camel"):
    """The result of `initialize`."""

    protocol_version: str
    server_info: ServerInfo = ServerInfo()
    capabilities: dict[str, Any] = {}
    instructions: str | None = None


class Discovery(msgspec.Struct, frozen=True, rename={"supported_versions": "supportedVersions", "meta": "_meta"}):
    """The result of `server/discover`."""

    supported_versions: list[str]
    capabilities: dict[str, Any] = {}
    instructions: str | None = None
    meta: dict[str, Any] | None = None

    def server_info(self) -> ServerInfo:
        try:
            return msgspec.convert((self.meta or {}).get(META_SERVER) or {}, ServerInfo)
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


_incoming = msgspec.json.Decoder(Message)
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


def encode_request(
    request_id: int, method: str, params: dict[str, Any], *, modern: bool, relay: Relay | None = None
) -> bytes:
    """Encode a request. With a relay, what its client sent along goes with it, and progress is asked for."""
    if relay is not None:
        extra = relay.extra
        meta = {**extra.get("_meta", {}), "progressToken": request_id}
        if modern:
            meta |= {**_MODERN_META, META_CAPABILITIES: relay.client.told}
            if relay.client.era != "modern":
                meta[META_LOG_LEVEL] = "debug"  # clients of before are sent what their session's level says
        params = {**params, **extra, "_meta": meta}
    elif modern:
        params = {**params, "_meta": _MODERN_META}
    return _encode({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


def encode_notification(method: str, params: dict[str, Any] | None = None) -> bytes:
    if params is None:
        return _encode({"jsonrpc": "2.0", "method": method})
    return _encode({"jsonrpc": "2.0", "method": method, "params": params})


def encode_reply(request_id: int | str, result: Any) -> bytes:
    return _encode({"jsonrpc": "2.0", "id": request_id, "result": result})


def encode_refusal(request_id: int | str, error: RpcError) -> bytes:
    return _encode({"jsonrpc": "2.0", "id": request_id, "error": error})


def decode_incoming(line: bytes) -> Message:
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

    Raises `ProtocolViolation`, also for kinds of results that this client does not know.
    """
    result = _decode(_call_result, raw, "tools/call")
    if result.result_type == INPUT_REQUIRED:
        return ToolResult([], None, is_error=False, duration_ms=duration_ms, raw=raw, input_required=True)
    if result.result_type != "complete":
        raise ProtocolViolation(
            f"The tool answered with a {result.result_type[:40]!r} result, which this client did not offer to take."
        )
    structured = result.structured_content
    if structured is not None and not isinstance(structured, dict):
        structured = {"result": structured}
    return ToolResult(result.content, structured, bool(result.is_error), duration_ms, raw)
