"""What a bundled server reads from the wire, and how its replies are written. JSON-RPC 2.0, both MCP eras."""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

HANDSHAKE_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN_VERSION = "2026-07-28"
BATCH_VERSION = "2025-03-26"  # the only revision whose receivers MUST accept JSON-RPC batches

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
OVERLOADED = -32000  # of the range that implementations define for themselves
HEADER_MISMATCH = -32020
UNSUPPORTED_VERSION = -32022
REQUEST_CANCELLED = -32800  # LSP's code for it, and what the official servers use where HTTP wants some answer

SERVER_INFO_META = "io.modelcontextprotocol/serverInfo"

RequestId = int | str


class Meta(
    msgspec.Struct,
    rename={
        "protocol_version": "io.modelcontextprotocol/protocolVersion",
        "client_capabilities": "io.modelcontextprotocol/clientCapabilities",
    },
):
    """The part of a request's `_meta` that routes it (2026-07-28, per-request protocol fields)."""

    protocol_version: str | UnsetType = UNSET
    client_capabilities: dict[str, Any] | UnsetType = UNSET


class Params(
    msgspec.Struct, rename={"meta": "_meta", "protocol_version": "protocolVersion", "request_id": "requestId"}
):
    """The parameters of every method that the bundled servers know, in one shape: one decoding per message."""

    meta: Meta | UnsetType = UNSET
    name: str | UnsetType = UNSET
    arguments: Raw | UnsetType = UNSET
    cursor: str | UnsetType | None = UNSET
    protocol_version: str | UnsetType = UNSET
    request_id: RequestId | UnsetType = UNSET


class Message(msgspec.Struct):
    """A request (with `id`), a notification (without), or a response, which has no `method`."""

    jsonrpc: str
    method: str | UnsetType = UNSET
    id: RequestId | UnsetType = UNSET
    params: Params | UnsetType = UNSET


class _Envelope(msgspec.Struct):
    id: RequestId | UnsetType = UNSET
    method: str | UnsetType = UNSET


class Reply(NamedTuple):
    """One message for the client, or one batch of them. `fault` is the error's code if it is a refusal."""

    data: bytes
    fault: int | None = None


Send = Callable[[Reply], None]


class RpcFault(Exception):
    """A protocol-level refusal: becomes the `error` of the reply."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


_message_decoder = msgspec.json.Decoder(Message)
_envelope_decoder = msgspec.json.Decoder(_Envelope)
_batch_decoder = msgspec.json.Decoder(list[Raw])
_encode = msgspec.json.Encoder().encode


def decode_message(line: bytes) -> Message:
    """Decode one message. Raises `UndecodableMessage`, which carries the reply's id as far as it could be read."""
    try:
        message = _message_decoder.decode(line)
    except msgspec.ValidationError as error:
        raise _undecodable(line, str(error)) from error
    except (ValueError, RecursionError) as error:
        raise UndecodableMessage(None, RpcFault(PARSE_ERROR, "Parse error")) from error
    if message.jsonrpc != "2.0":
        identity = message.id if message.id is not UNSET else None
        raise UndecodableMessage(identity, RpcFault(INVALID_REQUEST, 'Invalid request: "jsonrpc" must be "2.0"'))
    return message


def decode_batch(line: bytes) -> list[Raw]:
    """Split a JSON-RPC batch into its messages."""
    try:
        return _batch_decoder.decode(line)
    except (ValueError, RecursionError) as error:
        raise UndecodableMessage(None, RpcFault(PARSE_ERROR, "Parse error")) from error


class UndecodableMessage(Exception):
    """No message of ours. `request_id` is None when the id could not be read, as JSON-RPC 2.0 section 5 says."""

    def __init__(self, request_id: RequestId | None, fault: RpcFault) -> None:
        super().__init__(fault.message)
        self.request_id = request_id
        self.fault = fault


def _undecodable(line: bytes, why: str) -> UndecodableMessage:
    """Well-formed JSON of the wrong shape: bad params if it is a request at all, else an invalid request."""
    try:
        msgspec.json.decode(line, type=Raw)
        envelope = _envelope_decoder.decode(line)
    except msgspec.ValidationError:
        return UndecodableMessage(None, RpcFault(INVALID_REQUEST, "Invalid request"))
    except (ValueError, RecursionError):
        return UndecodableMessage(None, RpcFault(PARSE_ERROR, "Parse error"))
    if envelope.id is UNSET or envelope.method is UNSET:
        return UndecodableMessage(None, RpcFault(INVALID_REQUEST, "Invalid request"))
    return UndecodableMessage(envelope.id, RpcFault(INVALID_PARAMS, f"Invalid params: {why}"))


def encode_result(request_id: RequestId, result: dict[str, Any]) -> Reply:
    return Reply(_encode({"jsonrpc": "2.0", "id": request_id, "result": result}))


def encode_fault(request_id: RequestId | None, fault: RpcFault) -> Reply:
    error: dict[str, Any] = {"code": fault.code, "message": fault.message}
    if fault.data is not None:
        error["data"] = fault.data
    return Reply(_encode({"jsonrpc": "2.0", "id": request_id, "error": error}), fault.code)
