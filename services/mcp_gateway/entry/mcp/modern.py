"""The stateless era (2026-07-28): each POST is one request that says all that has to be known of it."""

import asyncio
from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from services.mcp_gateway.app.changes import Change, Changes
from services.mcp_gateway.app.relay import Client
from services.mcp_gateway.domain.param_headers import decode_value
from services.mcp_gateway.domain.rpc import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    META_CAPABILITIES,
    META_SERVER,
    META_SUBSCRIPTION,
    META_VERSION,
    MODERN_VERSION,
    NAME_PARAMS,
    UNSUPPORTED_VERSION,
    Message,
    RpcFailed,
    refused,
)
from services.mcp_gateway.entry.mcp.caller import Caller
from services.mcp_gateway.entry.mcp.frames import Frames
from services.mcp_gateway.entry.mcp.held import HeldCalls
from services.mcp_gateway.entry.mcp.inbound import Inbound
from services.mcp_gateway.entry.mcp.listening import Wanted, notice_for
from services.mcp_gateway.entry.mcp.methods import CAPABILITIES, Methods
from services.mcp_gateway.entry.mcp.relays import log_level_of
from services.mcp_gateway.entry.mcp.running import refusal_of, run
from services.mcp_gateway.entry.mcp.streams import (
    JSON,
    Receive,
    Send,
    answer_plainly,
    answer_with_frames,
    send_whole,
    stream,
    until_gone,
)
from services.mcp_gateway.entry.mcp.wire import RequestId, notice_of, read_params, result_of
from services.mcp_gateway.limits import MCP_LIST_TTL_MS, MCP_LISTENERS_PER_TENANT_MAX, MCP_SUBSCRIPTIONS_MAX

SERVER_INFO = {"name": "agentic-platform", "version": "0.1.0"}
_LISTS = {"toolsListChanged": "tools", "promptsListChanged": "prompts", "resourcesListChanged": "resources"}


class ModernEra:
    """Answers requests of the stateless era."""

    def __init__(self, methods: Methods, changes: Changes, held: HeldCalls) -> None:
        self._methods = methods
        self._changes = changes
        self._held = held
        self._listening: set[Frames] = set()

    def close(self) -> None:
        """End all streams that have no end of their own."""
        for frames in self._listening:
            frames.end()

    async def post(self, caller: Caller, message: Message, send: Send, receive: Receive) -> None:
        """Answer one POST."""
        if message.method is UNSET or message.id is UNSET or message.id is None:
            await send_whole(send, 202)  # the era has no notices from clients: a closed stream cancels
            return
        request_id, method = message.id, message.method
        try:
            params = read_params(message)
            _check(caller.headers, method, params)
        except RpcFailed as failure:
            answer = refusal_of(request_id, failure.error, modern=True)
            await send_whole(send, answer.status, answer.body, [JSON])
            return
        client = Client("modern", params["_meta"][META_CAPABILITIES], owner=caller.scope.actor)
        inbound = Inbound(caller.scope, caller.profile, client, method, params, headers=caller.headers)
        if method == "subscriptions/listen":
            await self._listen(request_id, inbound, send, receive)
        elif method == "server/discover":
            await answer_plainly(send, receive, run(_discover, request_id, inbound))
        elif not _says_more(inbound):
            await answer_plainly(send, receive, run(self._methods.answer, request_id, inbound))
        else:
            await self._converse(request_id, inbound, send, receive)

    async def _converse(self, request_id: RequestId, inbound: Inbound, send: Send, receive: Receive) -> None:
        frames = Frames()
        level = log_level_of(inbound.params)

        async def held(asked: Inbound) -> Any:
            return await self._held.run(asked, frames, lambda: level, self._methods.answer)

        work = asyncio.create_task(run(held, request_id, inbound))
        await answer_with_frames(send, receive, work, frames, b"", cancel=True)

    async def _listen(self, request_id: RequestId, inbound: Inbound, send: Send, receive: Receive) -> None:
        try:
            wanted, honoured = _wanted(inbound.params)
            if self._changes.count(inbound.scope.tenant_id) >= MCP_LISTENERS_PER_TENANT_MAX:
                raise refused(INTERNAL_ERROR, f"At most {MCP_LISTENERS_PER_TENANT_MAX} streams listen at once")
        except RpcFailed as failure:
            answer = refusal_of(request_id, failure.error, modern=True)
            await send_whole(send, answer.status, answer.body, [JSON])
            return
        frames = Frames()
        meta = {META_SUBSCRIPTION: request_id}
        frames.put(notice_of("notifications/subscriptions/acknowledged", {"notifications": honoured, "_meta": meta}))

        def hear(change: Change) -> None:
            if wanted.has(change):
                frames.put(notice_for(change, request_id))

        stop = self._changes.listen(inbound.scope.tenant_id, hear)
        self._listening.add(frames)
        gone = asyncio.create_task(until_gone(receive))
        following = asyncio.create_task(self._methods.follow(inbound, wanted.uris))
        try:
            await stream(send, gone, frames, last=result_of(request_id, {"resultType": "complete", "_meta": meta}))
        finally:
            following.cancel()
            gone.cancel()
            stop()
            self._listening.discard(frames)


def _says_more(inbound: Inbound) -> bool:
    """Whether anything can be said to this client before the result, or asked of it."""
    meta = inbound.params["_meta"]
    return (
        "progressToken" in meta
        or bool(inbound.client.capabilities)
        or log_level_of(inbound.params) is not None
        or "requestState" in inbound.params
        or "inputResponses" in inbound.params
    )


async def _discover(_: Inbound) -> Any:
    return {
        "supportedVersions": [MODERN_VERSION],
        "capabilities": CAPABILITIES,
        "resultType": "complete",
        "ttlMs": MCP_LIST_TTL_MS,
        "cacheScope": "private",
        "_meta": {META_SERVER: SERVER_INFO},
    }


def _check(headers: Mapping[str, str], method: str, params: dict[str, Any]) -> None:
    """Check what a request has to say of itself. Raises `RpcFailed`.

    The order is the protocol's: what is missing, then what contradicts itself, then what is not spoken here.
    """
    meta = params.get("_meta")
    if not isinstance(meta, dict) or META_VERSION not in meta or not isinstance(meta.get(META_CAPABILITIES), dict):
        raise refused(INVALID_PARAMS, f"Invalid params: `_meta` lacks {META_VERSION} or {META_CAPABILITIES}")
    version = meta[META_VERSION]
    if headers.get("mcp-protocol-version") != version:
        raise refused(HEADER_MISMATCH, "The header MCP-Protocol-Version does not say what the body says")
    if headers.get("mcp-method") != method:
        raise refused(HEADER_MISMATCH, "The header Mcp-Method does not say what the body says")
    name_param = NAME_PARAMS.get(method)
    if name_param is not None:
        name = headers.get("mcp-name")
        if name is None or decode_value(name) != params.get(name_param):
            raise refused(HEADER_MISMATCH, "The header Mcp-Name does not say what the body says")
    if version != MODERN_VERSION:
        data = {"supported": [MODERN_VERSION], "requested": version}
        raise refused(UNSUPPORTED_VERSION, "Unsupported protocol version", data)


def _wanted(params: dict[str, Any]) -> tuple[Wanted, dict[str, Any]]:
    asked = params.get("notifications")
    if not isinstance(asked, dict):
        raise refused(INVALID_PARAMS, "Invalid params: `notifications` is missing")
    uris = asked.get("resourceSubscriptions") or []
    if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris):
        raise refused(INVALID_PARAMS, "Invalid params: `resourceSubscriptions` is a list of URIs")
    if len(uris) > MCP_SUBSCRIPTIONS_MAX:
        raise refused(INVALID_PARAMS, f"At most {MCP_SUBSCRIPTIONS_MAX} resources can be subscribed to at once")
    honoured: dict[str, Any] = {name: True for name in _LISTS if asked.get(name) is True}
    if uris:
        honoured["resourceSubscriptions"] = uris
    return Wanted(frozenset(_LISTS[name] for name in honoured if name in _LISTS), set(uris)), honoured
