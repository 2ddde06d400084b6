"""The endpoint's side of the wire: what is read from clients, and how answers are written."""

from typing import Any

import msgspec
from msgspec import UNSET, Raw

from services.mcp_gateway.domain.bounds import too_deep
from services.mcp_gateway.domain.rpc import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, Message, RpcError, refused
from shared.limits import JSON_MAX_DEPTH

RequestId = int | str

_message = msgspec.json.Decoder(Message)
_encode = msgspec.json.Encoder().encode
_COMPLETE = b'"resultType"'


class Unreadable(Exception):
    """No message. `request_id` is what could be read of it."""

    def __init__(self, error: RpcError, request_id: RequestId | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.request_id = request_id


def read(body: bytes) -> Message:
    """Decode one message. Raises `Unreadable`."""
    try:
        return _message.decode(body)
    except msgspec.ValidationError as error:
        raise _wrong_shape(body) from error
    except (ValueError, RecursionError) as error:
        raise Unreadable(RpcError(PARSE_ERROR, "Parse error")) from error


def read_params(message: Message) -> dict[str, Any]:
    """Decode the params of a request. Raises `RpcFailed` for what is no object, or nested too deeply."""
    if message.params is UNSET:
        return {}
    try:
        params = msgspec.json.decode(message.params)
    except (ValueError, RecursionError) as error:
        raise refused(INVALID_PARAMS, "Invalid params: nested too deeply") from error
    if not isinstance(params, dict):
        raise refused(INVALID_PARAMS, "Invalid params: not an object")
    if too_deep(params, message.params):
        raise refused(INVALID_PARAMS, f"Invalid params: nested more than {JSON_MAX_DEPTH} levels deep")
    return params


def result_of(request_id: RequestId, result: Any) -> bytes:
    """Encode a response; a `Raw` result goes as it is."""
    return _encode({"jsonrpc": "2.0", "id": request_id, "result": result})


def error_of(request_id: RequestId | None, error: RpcError) -> bytes:
    """Encode an error response."""
    return _encode({"jsonrpc": "2.0", "id": request_id, "error": error})


def notice_of(method: str, params: Any) -> bytes:
    """Encode a notification."""
    return _encode({"jsonrpc": "2.0", "method": method, "params": params})


def request_of(request_id: RequestId, method: str, params: Any) -> bytes:
    """Encode a request to the client."""
    return _encode({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


def in_era(raw: Raw, *, modern: bool) -> Any:
    """Return a server's result as clients of the era read it: in the modern one each says what kind of result it is."""
    if (_COMPLETE in bytes(raw)) == modern:
        return raw
    result = msgspec.json.decode(raw)
    if not isinstance(result, dict):
        return raw
    if modern:
        result.setdefault("resultType", "complete")
    else:
        for key in ("resultType", "ttlMs", "cacheScope"):
            result.pop(key, None)
    return result


def _wrong_shape(body: bytes) -> Unreadable:
    """Well-formed JSON that is no message: a batch, a bad id, or an envelope without its parts."""
    try:
        whole = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return Unreadable(RpcError(PARSE_ERROR, "Parse error"))
    said = whole.get("id") if isinstance(whole, dict) else None
    known = said if isinstance(said, str) or (isinstance(said, int) and not isinstance(said, bool)) else None
    return Unreadable(RpcError(INVALID_REQUEST, "Send one JSON-RPC 2.0 message"), known)
