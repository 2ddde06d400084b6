"""Sessions whose answers all come on one stream: calls are told apart by their ids, and end together with it."""

import asyncio
from abc import abstractmethod
from typing import Any

from msgspec import UNSET, Raw

from services.mcp_gateway.adapters.mcp.codec import decode_incoming, encode_notification, encode_request
from services.mcp_gateway.adapters.mcp.following import listening_for, subscribe_all
from services.mcp_gateway.adapters.mcp.model import Opening
from services.mcp_gateway.adapters.mcp.session import McpSession
from services.mcp_gateway.app.relay import Relay
from services.mcp_gateway.domain.rpc import Message, RpcFailed
from services.mcp_gateway.errors import ProtocolViolation, ServerUnavailable
from services.mcp_gateway.limits import FOLLOW_SECONDS
from shared.errors import PlatformError

Answer = asyncio.Future[Raw]


class MultiplexedSession(McpSession):
    """Any number of calls may be in flight. Subclasses write messages, and hand on those that they read."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        self._loop = asyncio.get_running_loop()
        self._last_id = 0
        self._pending: dict[int, Answer] = {}
        self._end: PlatformError | None = None
        self._over = asyncio.Event()

    @property
    def alive(self) -> bool:
        return self._end is None

    @property
    @abstractmethod
    def _congested(self) -> bool:
        """Whether too much waits to be taken by the server."""

    @abstractmethod
    def _write(self, message: bytes, answer: Answer | None = None) -> None:
        """Queue a message. `answer` is what waits for its reply, and fails if the message cannot be delivered."""

    @abstractmethod
    def _abort(self) -> None:
        """Stop reading what the server says, at once."""

    async def follow(self, uris: frozenset[str]) -> None:
        if self._modern:
            await self._exchange("subscriptions/listen", listening_for(uris), FOLLOW_SECONDS)
            return
        await subscribe_all(self._exchange, uris)
        await self._over.wait()

    async def _exchange(self, method: str, params: dict[str, Any], seconds: float, relay: Relay | None = None) -> Raw:
        if self._end is not None:
            raise ServerUnavailable("The session with this server has ended.") from self._end
        if self._congested:
            raise ServerUnavailable("The server does not read its input.")
        self._last_id = request_id = self._last_id + 1
        answer: Answer = self._loop.create_future()
        self._pending[request_id] = answer
        if relay is not None:
            self._unasked.begin(request_id, relay)
        self._write(encode_request(request_id, method, params, modern=self._modern, relay=relay), answer)
        expiry = self._loop.call_later(seconds, self._expire, answer)
        try:
            return await answer
        except (TimeoutError, asyncio.CancelledError) as stop:
            # `initialize` is the one request that must not be cancelled (MCP, cancellation).
            if self.alive and method != "initialize":
                reason = "timed out" if isinstance(stop, TimeoutError) else "cancelled by the caller"
                self._write(encode_notification("notifications/cancelled", {"requestId": request_id, "reason": reason}))
            raise
        finally:
            expiry.cancel()
            del self._pending[request_id]
            if relay is not None:
                self._unasked.end(request_id)

    @staticmethod
    def _expire(answer: Answer) -> None:
        if not answer.done():
            answer.set_exception(TimeoutError())

    def _receive(self, data: bytes) -> bool:
        """Take one message and return whether a request waited for it. A violation ends the session."""
        try:
            if not data or data.isspace():
                self._unasked.count()
                return False
            message = decode_incoming(data)
            if message.method is UNSET:
                return self._take_answer(message)
            self._unasked.take(message, message.method)
        except ProtocolViolation as violation:
            self._finish(violation)
            self._abort()
        return False

    def _reply(self, message: bytes) -> None:
        if self._end is not None:
            return
        if self._congested:
            self._finish(ProtocolViolation("The server asks and does not read the answers."))
            self._abort()
            return
        self._write(message)

    def _take_answer(self, message: Message) -> bool:
        request_id = message.id
        if not isinstance(request_id, int) or not 0 < request_id <= self._last_id:
            if request_id is None and message.error is not UNSET:
                raise ProtocolViolation(f"The server could not read a request: {message.error.message[:200]}")
            raise ProtocolViolation(f"The server answered a request that was never sent ({str(request_id)[:40]!r}).")
        answer = self._pending.get(request_id)
        if answer is None or answer.done():
            # Timed out, cancelled, or answered twice: it cannot be told apart, and a few of them do no harm.
            self._unasked.count()
            return False
        if message.error is not UNSET:
            answer.set_exception(RpcFailed(message.error))
        elif message.result is not UNSET:
            answer.set_result(message.result)
        else:
            raise ProtocolViolation("The server sent a response with neither result nor error.")
        return True

    def _finish(self, why: PlatformError) -> None:
        """Settle how the session ended, once, and fail every call that waits."""
        if self._end is not None:
            return
        self._end = why
        self._over.set()
        self._unasked.close()
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(type(why)(why.message, details=why.details))
