"""JSON-RPC 2.0 and the names of MCP, as far as both sides of the gateway speak of them."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
REQUEST_CANCELLED = -32800  # as the Language Server Protocol has it; MCP names none
HEADER_MISMATCH = -32020
MISSING_CAPABILITY = -32021
UNSUPPORTED_VERSION = -32022

HANDSHAKE_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN_VERSION = "2026-07-28"

META_VERSION = "io.modelcontextprotocol/protocolVersion"
META_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
META_CLIENT = "io.modelcontextprotocol/clientInfo"
META_SERVER = "io.modelcontextprotocol/serverInfo"
META_LOG_LEVEL = "io.modelcontextprotocol/logLevel"
META_SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


NAME_PARAMS = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""What the header `Mcp-Name` repeats (2026-07-28)."""


class RpcError(msgspec.Struct, frozen=True, omit_defaults=True):
    """The `error` of a JSON-RPC response."""

    code: int
    message: str = ""
    data: Any = None


class Message(msgspec.Struct, frozen=True):
    """Any message. A response has `id` and `result` or `error`; a request `id` and `method`; a notice only `method`."""

    jsonrpc: Literal["2.0"]
    id: int | str | UnsetType | None = UNSET
    method: str | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: RpcError | UnsetType = UNSET


class RpcFailed(Exception):
    """The peer answered a request with an error, or we answer so."""

    def __init__(self, error: RpcError) -> None:
        super().__init__(f"{error.code}: {error.message}")
        self.error = error


def refused(code: int, message: str, data: Any = None) -> RpcFailed:
    """Return the failure of a request as an exception to raise."""
    return RpcFailed(RpcError(code, message, data))
