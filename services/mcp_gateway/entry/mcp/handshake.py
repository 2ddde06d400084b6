"""The handshake era (revisions up to 2025-11-25): sessions that `initialize` opens, over streamable HTTP."""

import asyncio
from typing import Any

from msgspec import UNSET, structs

from services.mcp_gateway.app.changes import Changes
from services.mcp_gateway.domain.rpc import (
    HANDSHAKE_VERSIONS,
    INVALID_PARAMS,
    INVALID_REQUEST,
    REQUEST_CANCELLED,
    Message,
    RpcError,
    RpcFailed,
    refused,
)
from services.mcp_gateway.entry.mcp.caller import Caller
from services.mcp_gateway.entry.mcp.frames import Frames
from services.mcp_gateway.entry.mcp.inbound import Inbound
from services.mcp_gateway.entry.mcp.methods import CAPABILITIES, Method, Methods, text_of
from services.mcp_gateway.entry.mcp.modern import SERVER_INFO
from services.mcp_gateway.entry.mcp.relays import LEVELS, FrameRelay
from services.mcp_gateway.entry.mcp.running import refusal_of, run
from services.mcp_gateway.entry.mcp.sessions import HandshakeSession, Sessions
from services.mcp_gateway.entry.mcp.streams import (
    JSON,
    Answer,
    Receive,
    Send,
    answer_with_frames,
    send_whole,
    stream,
    until_gone,
)
from services.mcp_gateway.entry.mcp.wire import RequestId, error_of, read_params, result_of
from services.mcp_gateway.limits import MCP_SUBSCRIPTIONS_MAX

SESSION_ID = "mcp-session-id"
_PRIMED = "2025-11-25"  # clients of before cannot read an event without data
_RETRY_MS = 1_000


class HandshakeEra:
    """Answers requests of the handshake era."""

    def __init__(self, methods: Methods, changes: Changes, sessions: Sessions) -> None:
        self._methods = methods
        self._changes = changes
        self._sessions = sessions
        self._leaving: set[asyncio.Task[None]] = set()

    async def post(self, caller: Caller, message: Message, send: Send, receive: Receive) -> None:
        """Answer one POST."""
        if message.method == "initialize" and message.id is not UNSET and message.id is not None:
            await self._initialize(caller, message, message.id, send)
            return
        session = await self._session(caller, send)
        if session is None:
            return
        if message.method is UNSET:
            session.answered(message)
            await send_whole(send, 202)
        elif message.id is UNSET or message.id is None:
            _take_notice(session, message)
            await send_whole(send, 202)
        else:
            await self._request(session, caller, message, message.method, message.id, send, receive)

    async def get(self, caller: Caller, send: Send, receive: Receive) -> None:
        """Open the stream on which the client is told of changes, or go on with one that was cut off."""
        session = await self._session(caller, send)
        if session is None:
            return
        gone = asyncio.create_task(until_gone(receive))
        resumed = caller.headers.get("last-event-id")
        try:
            found = None if resumed is None else session.stream_of(resumed)
            if found is not None and found[0] is not session.general:
                await stream(send, gone, found[0], number=found[1])
                return
            frames = session.renew_general()
            session.following = asyncio.create_task(
                self._methods.follow(self._inbound(session, caller, "", {}), session.wanted.uris)
            )
            following = session.following
            try:
                await stream(send, gone, frames, number=found[1] if found is not None else 0)
            finally:
                following.cancel()
                if session.following is following:
                    session.following = None
        finally:
            gone.cancel()

    async def delete(self, caller: Caller, send: Send) -> None:
        """End a session."""
        session = await self._session(caller, send)
        if session is not None:
            self._sessions.end(session)
            await send_whole(send, 204)

    def close(self) -> None:
        """End all sessions."""
        self._sessions.close()

    async def _initialize(self, caller: Caller, message: Message, request_id: RequestId, send: Send) -> None:
        headers = [JSON]
        try:
            params = read_params(message)
            asked, capabilities = text_of(params, "protocolVersion"), params.get("capabilities")
            version = asked if asked in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1]
            session = HandshakeSession(
                caller.scope, caller.profile, version, capabilities if isinstance(capabilities, dict) else {}
            )
            self._sessions.add(session)
        except RpcFailed as failure:
            answer = refusal_of(request_id, failure.error, modern=False)
        else:
            session.on_close.append(self._changes.listen(caller.scope.tenant_id, session.hear))
            session.on_close.append(lambda: self._leave(session, caller))
            headers.append((SESSION_ID.encode(), session.id.encode()))
            answer = Answer(
                result_of(
                    request_id,
                    {
                        "protocolVersion": version,
                        "capabilities": {**CAPABILITIES, "logging": {}},
                        "serverInfo": SERVER_INFO,
                    },
                )
            )
        await send_whole(send, answer.status, answer.body, headers)

    async def _session(self, caller: Caller, send: Send) -> HandshakeSession | None:
        session_id = caller.headers.get(SESSION_ID)
        owner = (caller.scope.tenant_id, caller.scope.actor, caller.profile)
        session = None if session_id is None else self._sessions.find(session_id, owner)
        if session is None:
            said = "Send `initialize` first, then its Mcp-Session-Id" if session_id is None else "No such session"
            body = error_of(None, RpcError(INVALID_REQUEST, said))
            await send_whole(send, 400 if session_id is None else 404, body, [JSON])
        return session

    async def _request(
        self,
        session: HandshakeSession,
        caller: Caller,
        message: Message,
        method: str,
        request_id: RequestId,
        send: Send,
        receive: Receive,
    ) -> None:
        if request_id in session.calls:
            error = RpcError(INVALID_REQUEST, "This id belongs to a request that still runs")
            await send_whole(send, 200, error_of(request_id, error), [JSON])
            return
        frames = session.begin_stream()
        work = asyncio.create_task(self._run(session, caller, message, method, request_id, frames))
        session.calls[request_id] = work

        def ended(_: object) -> None:
            session.calls.pop(request_id, None)
            session.end_stream(frames)

        work.add_done_callback(ended)
        opening = f"id: {frames.name}/0\nretry: {_RETRY_MS}\ndata: \n\n".encode() if session.version >= _PRIMED else b""
        await answer_with_frames(send, receive, work, frames, opening, cancel=False)

    async def _run(
        self,
        session: HandshakeSession,
        caller: Caller,
        message: Message,
        method: str,
        request_id: RequestId,
        frames: Frames,
    ) -> Answer:
        try:
            params = read_params(message)
        except RpcFailed as failure:
            return refusal_of(request_id, failure.error, modern=False)
        relay = FrameRelay(
            session.client,
            params,
            frames,
            lambda asked, said: session.ask(frames, asked, said),
            lambda: session.log_level,
        )
        inbound = structs.replace(self._inbound(session, caller, method, params), relay=relay)
        own: dict[str, Method] = {
            "ping": _nothing,
            "logging/setLevel": lambda asked: self._set_level(session, asked),
            "resources/subscribe": lambda asked: self._subscribe(session, asked),
            "resources/unsubscribe": lambda asked: self._unsubscribe(session, asked),
        }
        try:
            return await run(own.get(method, self._methods.answer), request_id, inbound)
        except asyncio.CancelledError:
            return Answer(error_of(request_id, RpcError(REQUEST_CANCELLED, "The request was cancelled")))

    def _leave(self, session: HandshakeSession, caller: Caller) -> None:
        leaving = asyncio.create_task(self._methods.leave(self._inbound(session, caller, "", {})))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    def _inbound(self, session: HandshakeSession, caller: Caller, method: str, params: dict[str, Any]) -> Inbound:
        return Inbound(caller.scope, caller.profile, session.client, method, params, headers=caller.headers)

    @staticmethod
    async def _set_level(session: HandshakeSession, inbound: Inbound) -> dict[str, Any]:
        level = text_of(inbound.params, "level")
        if level not in LEVELS:
            raise refused(INVALID_PARAMS, f"Invalid params: `level` is one of {', '.join(LEVELS)}")
        session.log_level = level
        return {}

    async def _subscribe(self, session: HandshakeSession, inbound: Inbound) -> dict[str, Any]:
        if len(session.wanted.uris) >= MCP_SUBSCRIPTIONS_MAX:
            raise refused(INVALID_PARAMS, f"At most {MCP_SUBSCRIPTIONS_MAX} resources can be subscribed to at once")
        await self._methods.resource_server(inbound)
        session.wanted.uris.add(inbound.params["uri"])
        self._follow_anew(session, inbound)
        return {}

    async def _unsubscribe(self, session: HandshakeSession, inbound: Inbound) -> dict[str, Any]:
        session.wanted.uris.discard(text_of(inbound.params, "uri"))
        self._follow_anew(session, inbound)
        return {}

    def _follow_anew(self, session: HandshakeSession, inbound: Inbound) -> None:
        if session.following is not None:
            session.following.cancel()
            session.following = asyncio.create_task(self._methods.follow(inbound, session.wanted.uris))


def _take_notice(session: HandshakeSession, message: Message) -> None:
    if message.method != "notifications/cancelled":
        return
    try:
        request_id = read_params(message).get("requestId")
    except RpcFailed:
        return
    call = session.calls.get(request_id) if isinstance(request_id, str | int) else None
    if call is not None:
        call.cancel()


async def _nothing(_: Inbound) -> dict[str, Any]:
    return {}
