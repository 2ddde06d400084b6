"""Sessions of the handshake era: what `initialize` settled, what runs, and what the client may still come back for."""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from services.mcp_gateway.app.changes import Change
from services.mcp_gateway.app.relay import Client
from services.mcp_gateway.domain.rpc import INTERNAL_ERROR, Message, RpcError, RpcFailed
from services.mcp_gateway.entry.mcp.frames import Frames
from services.mcp_gateway.entry.mcp.listening import Wanted, notice_for
from services.mcp_gateway.entry.mcp.streams import Answer
from services.mcp_gateway.entry.mcp.wire import RequestId, notice_of, request_of
from services.mcp_gateway.errors import ServerBusy
from services.mcp_gateway.limits import (
    MCP_ASK_SECONDS,
    MCP_SESSION_IDLE_SECONDS,
    MCP_SESSIONS_MAX,
    MCP_SESSIONS_PER_TENANT_MAX,
    MCP_STREAM_KEPT_SECONDS,
    MCP_STREAMS_PER_SESSION_MAX,
)
from shared.scope import TenantScope

_LISTS = frozenset({"tools", "prompts", "resources"})


class HandshakeSession:
    """One client's session. It belongs to the credential and the profile that opened it."""

    def __init__(self, scope: TenantScope, profile: str | None, version: str, capabilities: dict[str, Any]) -> None:
        self.id = secrets.token_urlsafe(24)
        self.owner = (scope.tenant_id, scope.actor, profile)
        self.version = version
        self.client = Client("handshake", capabilities, self.id, scope.actor)
        self.log_level = "info"
        self.wanted = Wanted(_LISTS, set())
        self.calls: dict[RequestId, asyncio.Task[Answer]] = {}
        self.general = Frames("0")
        self.following: asyncio.Task[None] | None = None
        self.on_close: list[Callable[[], Any]] = []
        self.last_used = time.monotonic()
        self._streams: dict[str, Frames] = {}
        self._stream_number = 0
        self._asks: dict[str, asyncio.Future[Any]] = {}

    @property
    def idle(self) -> bool:
        """Whether nothing of it runs."""
        return not self.calls and self.following is None

    def begin_stream(self) -> Frames:
        """Return the frames of a new answer, which the client can come back for until some time after its end."""
        self._stream_number += 1
        frames = Frames(str(self._stream_number))
        self._streams[str(self._stream_number)] = frames
        while len(self._streams) > MCP_STREAMS_PER_SESSION_MAX:
            del self._streams[next(iter(self._streams))]
        return frames

    def end_stream(self, frames: Frames) -> None:
        """Keep the frames of an answer for as long as a client may be late, and no longer."""
        asyncio.get_running_loop().call_later(MCP_STREAM_KEPT_SECONDS, self._streams.pop, frames.name or "", None)

    def stream_of(self, event_id: str) -> tuple[Frames, int] | None:
        """Return the frames that an event was of, and its number; None if they are not kept any more."""
        name, _, number = event_id.partition("/")
        frames = self.general if name == self.general.name else self._streams.get(name)
        return (frames, int(number)) if frames is not None and number.isdecimal() and len(number) <= 9 else None  # noqa: PLR2004

    def renew_general(self) -> Frames:
        """Let a new stream take the place of the one that has been open, if there was one."""
        if self.following is not None:
            self.general.end()
            self._stream_number += 1
            self.general = Frames(str(self._stream_number))
        return self.general

    def hear(self, change: Change) -> None:
        """Tell the client of a change."""
        if self.wanted.has(change):
            self.general.put(notice_for(change))

    async def ask(self, frames: Frames, method: str, params: Any) -> Any:
        """Ask the client on the stream of one of its requests. Raises `RpcFailed` and `TimeoutError`."""
        request_id = f"ask-{secrets.token_hex(8)}"
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asks[request_id] = answer
        frames.put(request_of(request_id, method, params))
        try:
            async with asyncio.timeout(MCP_ASK_SECONDS):
                return await answer
        except (TimeoutError, asyncio.CancelledError):
            frames.put(notice_of("notifications/cancelled", {"requestId": request_id}))
            raise
        finally:
            del self._asks[request_id]

    def answered(self, message: Message) -> None:
        """Take the client's answer to something that it was asked. Answers that nobody waits for are dropped."""
        answer = self._asks.get(message.id) if isinstance(message.id, str) else None
        if answer is None or answer.done():
            return
        if message.error is not UNSET:
            answer.set_exception(RpcFailed(message.error))
            return
        try:
            answer.set_result(msgspec.json.decode(message.result) if message.result is not UNSET else {})
        except (ValueError, RecursionError):
            answer.set_exception(RpcFailed(RpcError(INTERNAL_ERROR, "The client's answer is nested too deeply")))

    def close(self) -> None:
        """Take back all that runs, and end the streams."""
        for call in list(self.calls.values()):
            call.cancel()
        self.general.end()
        for frames in self._streams.values():
            frames.end()
        for call_back in self.on_close:
            call_back()


class Sessions:
    """The sessions of this process, by id."""

    def __init__(self) -> None:
        self._sessions: dict[str, HandshakeSession] = {}

    def __iter__(self) -> Iterator[HandshakeSession]:
        return iter(list(self._sessions.values()))

    def add(self, session: HandshakeSession) -> None:
        """Keep a session. Raises `ServerBusy` when there are as many as may be, and none of them is idle."""
        self._make_room([s for s in self if s.owner[0] == session.owner[0]], MCP_SESSIONS_PER_TENANT_MAX)
        self._make_room(list(self), MCP_SESSIONS_MAX)
        self._sessions[session.id] = session

    def find(self, session_id: str, owner: tuple[UUID, str, str | None]) -> HandshakeSession | None:
        """Return the caller's session of this id, if there is one."""
        session = self._sessions.get(session_id)
        if session is None or session.owner != owner:
            return None
        session.last_used = time.monotonic()
        return session

    def end(self, session: HandshakeSession) -> None:
        """End a session."""
        if self._sessions.pop(session.id, None) is not None:
            session.close()

    def reap(self) -> None:
        """End the sessions that were not used for long."""
        now = time.monotonic()
        for session in self:
            if session.idle and now - session.last_used >= MCP_SESSION_IDLE_SECONDS:
                self.end(session)

    def close(self) -> None:
        """End all sessions."""
        for session in self:
            self.end(session)

    def _make_room(self, crowd: list[HandshakeSession], most: int) -> None:
        if len(crowd) < most:
            return
        idle = [session for session in crowd if session.idle]
        if not idle:
            raise ServerBusy(f"All {most} MCP sessions are in use.", retry_after=5.0)
        self.end(min(idle, key=lambda session: session.last_used))
