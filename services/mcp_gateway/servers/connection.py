"""One client's connection to a bundled server: era negotiation, dispatch, and the calls that run."""

import asyncio
from typing import Any

import msgspec
from msgspec import UNSET

from services.mcp_gateway.limits import SERVER_BATCH_MAX, SERVER_CALLS_MAX, SERVER_LIST_TTL_MS
from services.mcp_gateway.servers.base import ToolServer
from services.mcp_gateway.servers.results import failed, succeeded
from services.mcp_gateway.servers.tools import Tool
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
    Message,
    Params,
    Reply,
    RequestId,
    RpcFault,
    Send,
    UndecodableMessage,
    decode_batch,
    decode_message,
    encode_fault,
    encode_result,
)

Call = asyncio.Task[None]


class Connection:
    """Answers the messages of one client. The client's first request settles the era for the connection's life.

    With a `version` the era is settled from the start: a transport told it.
    """

    def __init__(self, server: ToolServer, version: str | None = None) -> None:
        self._server = server
        self._version = version
        self._calls: dict[RequestId, Call] = {}
        self._info = {"name": server.name, "version": server.version}
        self._capabilities: dict[str, Any] = {"tools": {"listChanged": False}}

    @property
    def busy(self) -> bool:
        """Whether calls run."""
        return bool(self._calls)

    def receive(self, line: bytes, send: Send) -> list[Call]:
        """Take one message, or one batch, and return the calls that run on.

        What is ready is sent at once and the rest as the calls end, not in the order of the requests. A notification
        and a call that is cancelled get no reply.
        """
        if not line.strip():
            return []
        if self._version == BATCH_VERSION and line.lstrip().startswith(b"["):
            return self._receive_batch(line, send)
        call = self._receive_message(line, send)
        return [call] if call is not None else []

    async def drain(self) -> None:
        """Wait until every running call has replied."""
        while self._calls:
            await asyncio.wait(self._calls.values())

    def close(self) -> None:
        """Cancel the calls that run: the client is gone."""
        for call in self._calls.values():
            call.cancel()

    def _receive_batch(self, line: bytes, send: Send) -> list[Call]:
        try:
            messages = decode_batch(line)
            if not 0 < len(messages) <= SERVER_BATCH_MAX:
                fault = RpcFault(INVALID_REQUEST, f"A batch has 1 to {SERVER_BATCH_MAX} messages")
                raise UndecodableMessage(None, fault)  # noqa: TRY301
        except UndecodableMessage as error:
            send(encode_fault(error.request_id, error.fault))
            return []
        replies: list[Reply] = []
        calls = [call for message in messages if (call := self._receive_message(bytes(message), replies.append))]

        def finish(_: object = None) -> None:
            if replies and all(call.done() for call in calls):
                send(Reply(b"[" + b",".join(reply.data for reply in replies) + b"]"))
                replies.clear()

        for call in calls:
            call.add_done_callback(finish)
        finish()
        return calls

    def _receive_message(self, line: bytes, send: Send) -> Call | None:
        try:
            message = decode_message(line)
        except UndecodableMessage as error:
            send(encode_fault(error.request_id, error.fault))
            return None
        return self.answer(message, send)

    def answer(self, message: Message, send: Send) -> Call | None:
        """Take a decoded message and return the call that runs on, if it started one. Replies as `receive` does."""
        params = message.params if message.params is not UNSET else Params()
        if message.method is UNSET:
            return None  # a response, and we never ask anything
        if message.id is UNSET:
            if message.method == "notifications/cancelled" and params.request_id is not UNSET:
                self._cancel(params.request_id)
            return None
        try:
            result = self._result(message.id, message.method, params, send)
        except RpcFault as fault:
            send(encode_fault(message.id, fault))
            return None
        if isinstance(result, asyncio.Task):
            return result
        send(encode_result(message.id, self._shaped(result)))
        return None

    def _result(self, request_id: RequestId, method: str, params: Params, send: Send) -> dict[str, Any] | Call:
        """Return the result, or the call that runs on and replies by itself."""
        if method == "initialize":
            return self._initialize(params)
        self._settle_era(method, params)
        if method == "tools/call":
            return self._call(request_id, params, send)
        if method == "tools/list":
            if params.cursor is not UNSET and params.cursor is not None:
                raise RpcFault(INVALID_PARAMS, "Unknown cursor: this list has one page")
            return self._cacheable({"tools": [tool.definition() for tool in self._server.tools.values()]})
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

    def _call(self, request_id: RequestId, params: Params, send: Send) -> dict[str, Any] | Call:
        if params.name is UNSET:
            raise RpcFault(INVALID_PARAMS, "Invalid params: `name` is missing")
        tool = self._server.tools.get(params.name)
        if tool is None:
            raise RpcFault(INVALID_PARAMS, f"Unknown tool: {params.name[:200]}")
        try:
            arguments = tool.arguments(None if params.arguments is UNSET else params.arguments)
            if tool.inline:
                return succeeded(tool.call(arguments))
        except Exception as error:  # noqa: BLE001 - whatever a tool raises is that call's result, never the server's end
            return failed(tool, error)
        if request_id in self._calls:
            raise RpcFault(INVALID_REQUEST, "This id belongs to a request that still runs")
        if len(self._calls) >= SERVER_CALLS_MAX:
            raise RpcFault(OVERLOADED, f"More than {SERVER_CALLS_MAX} calls run at once")
        call = asyncio.get_running_loop().create_task(self._run(tool, arguments, request_id, send))
        self._calls[request_id] = call
        call.add_done_callback(lambda _: self._calls.pop(request_id, None))
        return call

    async def _run(self, tool: Tool, arguments: dict[str, Any], request_id: RequestId, send: Send) -> None:
        try:
            if tool.is_async:
                result = succeeded(await tool.call(arguments))
            else:
                result = succeeded(await asyncio.to_thread(tool.call, arguments))
        except Exception as error:  # noqa: BLE001 - as above
            result = failed(tool, error)
        send(encode_result(request_id, self._shaped(result)))

    def _cancel(self, request_id: RequestId) -> None:
        # A cancelled request gets no reply. A function in a thread runs to its end; its result is dropped.
        call = self._calls.get(request_id)
        if call is not None:
            call.cancel()

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
