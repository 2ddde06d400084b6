"""One client's connection to a bundled server: era negotiation, dispatch, and the calls that run."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET

from services.mcp_gateway.limits import SERVER_BATCH_MAX, SERVER_CALLS_MAX, SERVER_LIST_TTL_MS
from services.mcp_gateway.servers.base import ToolServer
from services.mcp_gateway.servers.tools import Tool, ToolOutput, ToolRefused
from services.mcp_gateway.servers.wire import (
    BATCH_VERSION,
    HANDSHAKE_VERSIONS,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MODERN_VERSION,
    OVERLOADED,
    SERVER_INFO_META,
    UNSUPPORTED_VERSION,
    Params,
    RequestId,
    RpcFault,
    UndecodableMessage,
    decode_batch,
    decode_message,
    encode_fault,
    encode_result,
)

_log = logging.getLogger(__name__)

Reply = Callable[[bytes], None]


class Connection:
    """Answers the messages of one client. The client's first request settles the era for the connection's life."""

    def __init__(self, server: ToolServer, send: Reply) -> None:
        self._server = server
        self._send = send
        self._version: str | None = None
        self._calls: dict[RequestId, asyncio.Task[None]] = {}
        self._info = {"name": server.name, "version": server.version}
        self._capabilities: dict[str, Any] = {"tools": {"listChanged": False}}
        self._definitions = [tool.definition() for tool in server.tools.values()]

    def receive(self, line: bytes) -> None:
        """Take one line. Replies are sent as they become ready, not in the order of the requests."""
        if not line.strip():
            return
        if self._version == BATCH_VERSION and line.lstrip().startswith(b"["):
            self._receive_batch(line)
        else:
            self._receive_message(line, self._send)

    async def drain(self) -> None:
        """Wait until every running call has replied."""
        while self._calls:
            await asyncio.wait(self._calls.values())

    def _receive_batch(self, line: bytes) -> None:
        try:
            messages = decode_batch(line)
            if not 0 < len(messages) <= SERVER_BATCH_MAX:
                fault = RpcFault(INVALID_REQUEST, f"A batch has 1 to {SERVER_BATCH_MAX} messages")
                raise UndecodableMessage(None, fault)  # noqa: TRY301
        except UndecodableMessage as error:
            self._send(encode_fault(error.request_id, error.fault))
            return
        replies: list[bytes] = []
        before = set(self._calls)
        for message in messages:
            self._receive_message(bytes(message), replies.append)
        started = [task for request_id, task in self._calls.items() if request_id not in before]

        def finish(_: object = None) -> None:
            if replies and all(task.done() for task in started):
                self._send(b"[" + b",".join(replies) + b"]")
                replies.clear()

        for task in started:
            task.add_done_callback(finish)
        finish()

    def _receive_message(self, line: bytes, reply: Reply) -> None:
        try:
            message = decode_message(line)
        except UndecodableMessage as error:
            reply(encode_fault(error.request_id, error.fault))
            return
        params = message.params if message.params is not UNSET else Params()
        if message.method is UNSET:
            return  # a response, and we never ask anything
        if message.id is UNSET:
            if message.method == "notifications/cancelled" and params.request_id is not UNSET:
                self._cancel(params.request_id)
            return
        try:
            result = self._answer(message.id, message.method, params, reply)
        except RpcFault as fault:
            reply(encode_fault(message.id, fault))
            return
        if result is not None:
            reply(encode_result(message.id, self._shaped(result)))

    def _answer(self, request_id: RequestId, method: str, params: Params, reply: Reply) -> dict[str, Any] | None:
        """Return the result, or None when the call runs on and replies by itself."""
        if method == "initialize":
            return self._initialize(params)
        self._settle_era(method, params)
        if method == "tools/call":
            return self._call(request_id, params, reply)
        if method == "tools/list":
            if params.cursor is not UNSET and params.cursor is not None:
                raise RpcFault(INVALID_PARAMS, "Unknown cursor: this list has one page")
            return self._cacheable({"tools": self._definitions})
        if method == "ping" and self._version != MODERN_VERSION:
            return {}
        if method == "server/discover" and self._version == MODERN_VERSION:
            return self._cacheable(self._described({"supportedVersions": [MODERN_VERSION, *HANDSHAKE_VERSIONS]}))
        raise RpcFault(METHOD_NOT_FOUND, f"Method not found: {method}")

    def _initialize(self, params: Params) -> dict[str, Any]:
        if self._version == MODERN_VERSION:
            raise self._unsupported(params.protocol_version)
        if params.protocol_version is UNSET:
            raise RpcFault(INVALID_PARAMS, "Invalid params: `protocolVersion` is missing")
        offered = params.protocol_version
        self._version = offered if offered in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1]
        return self._described({"protocolVersion": self._version, "serverInfo": self._info})

    def _settle_era(self, method: str, params: Params) -> None:
        meta = params.meta
        if meta is UNSET or meta.protocol_version is UNSET:
            if self._version == MODERN_VERSION:
                raise RpcFault(INVALID_PARAMS, "Invalid params: `_meta` lacks the protocol version of this request")
            if self._version is None and method not in {"ping", "server/discover"}:
                raise RpcFault(INVALID_REQUEST, "Not initialized: send `initialize` first, or a `_meta` per request")
            return
        if self._version in HANDSHAKE_VERSIONS:
            raise RpcFault(INVALID_REQUEST, f"This connection was initialized for revision {self._version}")
        if meta.client_capabilities is UNSET:
            raise RpcFault(INVALID_PARAMS, "Invalid params: `_meta` lacks io.modelcontextprotocol/clientCapabilities")
        if meta.protocol_version != MODERN_VERSION:
            raise self._unsupported(meta.protocol_version)
        self._version = MODERN_VERSION

    def _unsupported(self, requested: str | msgspec.UnsetType) -> RpcFault:
        data: dict[str, Any] = {"supported": [MODERN_VERSION]}
        if self._version is None:
            data["supported"] += HANDSHAKE_VERSIONS
        if requested is not UNSET:
            data["requested"] = requested
        return RpcFault(UNSUPPORTED_VERSION, "Unsupported protocol version", data)

    def _call(self, request_id: RequestId, params: Params, reply: Reply) -> dict[str, Any] | None:
        if params.name is UNSET:
            raise RpcFault(INVALID_PARAMS, "Invalid params: `name` is missing")
        tool = self._server.tools.get(params.name)
        if tool is None:
            raise RpcFault(INVALID_PARAMS, f"Unknown tool: {params.name[:200]}")
        try:
            arguments = tool.arguments(None if params.arguments is UNSET else params.arguments)
            if tool.inline:
                return _succeeded(tool.call(arguments))
        except Exception as error:  # noqa: BLE001 - whatever a tool raises is that call's result, never the server's end
            return _failed(tool, error)
        if request_id in self._calls:
            raise RpcFault(INVALID_REQUEST, "This id belongs to a request that still runs")
        if len(self._calls) >= SERVER_CALLS_MAX:
            raise RpcFault(OVERLOADED, f"More than {SERVER_CALLS_MAX} calls run at once")
        task = asyncio.get_running_loop().create_task(self._run(tool, arguments, request_id, reply))
        self._calls[request_id] = task
        task.add_done_callback(lambda _: self._calls.pop(request_id, None))
        return None

    async def _run(self, tool: Tool, arguments: dict[str, Any], request_id: RequestId, reply: Reply) -> None:
        try:
            if tool.is_async:
                result = _succeeded(await tool.call(arguments))
            else:
                result = _succeeded(await asyncio.to_thread(tool.call, arguments))
        except Exception as error:  # noqa: BLE001 - as above
            result = _failed(tool, error)
        reply(encode_result(request_id, self._shaped(result)))

    def _cancel(self, request_id: RequestId) -> None:
        # A cancelled request gets no reply. A function in a thread runs to its end; its result is dropped.
        task = self._calls.get(request_id)
        if task is not None:
            task.cancel()

    def _described(self, result: dict[str, Any]) -> dict[str, Any]:
        result["capabilities"] = self._capabilities
        if self._server.instructions is not None:
            result["instructions"] = self._server.instructions
        return result

    def _cacheable(self, result: dict[str, Any]) -> dict[str, Any]:
        if self._version == MODERN_VERSION:
            result["ttlMs"] = SERVER_LIST_TTL_MS
            result["cacheScope"] = "public"
        return result

    def _shaped(self, result: dict[str, Any]) -> dict[str, Any]:
        """Add what every result of the modern era carries."""
        if self._version == MODERN_VERSION:
            result["resultType"] = "complete"
            result["_meta"] = {SERVER_INFO_META: self._info}
        return result


def _succeeded(value: Any) -> dict[str, Any]:
    if isinstance(value, ToolOutput):
        return {"content": [{"type": "text", "text": value.text}], "structuredContent": value.structured}
    if isinstance(value, msgspec.Struct):
        value = msgspec.to_builtins(value, str_keys=True)
        return {"content": [{"type": "text", "text": msgspec.json.encode(value).decode()}], "structuredContent": value}
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return {"content": [{"type": "text", "text": text}], "structuredContent": {"result": value}}


def _failed(tool: Tool, error: Exception) -> dict[str, Any]:
    if isinstance(error, ToolRefused):
        code, message = error.code, error.message
    else:
        _log.error("the tool %s failed", tool.name, exc_info=error)
        code, message = "internal", "The tool failed."
    return {
        "content": [{"type": "text", "text": message}],
        "structuredContent": {"error": {"code": code, "message": message}},
        "isError": True,
    }
