"""Sessions with servers that are processes of ours: one JSON-RPC message per line over their stdin and stdout."""

import asyncio
import logging
import shutil
import tempfile
from typing import Any

from msgspec import UNSET, Raw

from services.mcp_gateway.adapters.mcp.codec import (
    decode_incoming,
    encode_notification,
    encode_request,
)
from services.mcp_gateway.adapters.mcp.following import listening_for, subscribe_all
from services.mcp_gateway.adapters.mcp.launch import CommandAllowList, StdioLaunch, environment
from services.mcp_gateway.adapters.mcp.model import Opening
from services.mcp_gateway.adapters.mcp.process import LineProcess
from services.mcp_gateway.adapters.mcp.session import McpSession
from services.mcp_gateway.app.relay import Era, Relay
from services.mcp_gateway.domain.rpc import Message, RpcFailed
from services.mcp_gateway.errors import ProtocolViolation, ServerDied, ServerUnavailable
from services.mcp_gateway.limits import FOLLOW_SECONDS, UNSENT_MAX_BYTES
from shared.errors import PlatformError

_log = logging.getLogger(__name__)


class StdioSession(McpSession):
    """A server process of our own. Calls are multiplexed by id; any number may be in flight."""

    def __init__(self, label: str, opening: Opening) -> None:
        super().__init__(opening)
        self._loop = asyncio.get_running_loop()
        self._label = label
        self._last_id = 0
        self._pending: dict[int, asyncio.Future[Raw]] = {}
        self._end: PlatformError | None = None
        self._over = asyncio.Event()
        self._directory: str | None = None
        self._process = LineProcess(label, on_line=self._receive, on_flood=self._flooded, on_end=self._ended)

    @classmethod
    async def start(
        cls,
        launch: StdioLaunch,
        *,
        allowed: CommandAllowList,
        opening: Opening | None = None,
    ) -> "StdioSession":
        """Start the server and agree on a protocol revision.

        Without an era in `opening` the handshake is tried first: every server before 2026-07-28 knows it, while an
        unknown method before `initialize` makes some of them exit. Raises `CommandNotAllowed`, `ServerUnavailable`,
        `ProtocolViolation`; nothing of the server is left then.
        """
        command = allowed.resolve(launch)
        opening = opening if opening is not None else Opening()
        session = cls(launch.command, opening)
        try:
            await session._open(launch, command, opening.era)
        except BaseException:
            await asyncio.shield(session.close())
            raise
        return session

    @property
    def alive(self) -> bool:
        return self._end is None

    async def close(self) -> None:
        self._finish(ServerDied("The session was closed."))
        await self._process.close()
        directory, self._directory = self._directory, None
        if directory is not None:  # gone already, unless the warden was never started or was killed
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    async def _open(self, launch: StdioLaunch, command: list[str], era: Era | None) -> None:
        home = self._directory = tempfile.mkdtemp(prefix="mcp-server-")
        try:
            await self._process.start(
                command,
                cwd=home,
                env=environment(launch, home),
                rlimits=launch.limits.as_rlimits(),
                scratch=home,
            )
        except OSError as error:
            raise ServerUnavailable(
                f"The command {launch.command!r} could not be started: {error.strerror}."
            ) from error
        try:
            await self._negotiate(("modern", "handshake") if era == "modern" else ("handshake", "modern"))
        except ServerDied as death:
            raise ServerUnavailable(
                f"The server {launch.command!r} ended before it was ready.", details=death.details
            ) from death

    async def follow(self, uris: frozenset[str]) -> None:
        if self._modern:
            await self._exchange("subscriptions/listen", listening_for(uris), FOLLOW_SECONDS)
            return
        await subscribe_all(self._exchange, uris)
        await self._over.wait()

    async def _exchange(self, method: str, params: dict[str, Any], seconds: float, relay: Relay | None = None) -> Raw:
        if self._end is not None:
            raise ServerUnavailable("The session with this server has ended.") from self._end
        if self._process.unsent_bytes > UNSENT_MAX_BYTES:
            raise ServerUnavailable("The server does not read its input.")
        self._last_id = request_id = self._last_id + 1
        answer: asyncio.Future[Raw] = self._loop.create_future()
        self._pending[request_id] = answer
        if relay is not None:
            self._unasked.begin(request_id, relay)
        self._process.write_line(encode_request(request_id, method, params, modern=self._modern, relay=relay))
        expiry = self._loop.call_later(seconds, self._expire, answer)
        try:
            return await answer
        except (TimeoutError, asyncio.CancelledError) as stop:
            # `initialize` is the one request that must not be cancelled (MCP, cancellation).
            if self.alive and method != "initialize":
                reason = "timed out" if isinstance(stop, TimeoutError) else "cancelled by the caller"
                self._process.write_line(
                    encode_notification("notifications/cancelled", {"requestId": request_id, "reason": reason})
                )
            raise
        finally:
            expiry.cancel()
            del self._pending[request_id]
            if relay is not None:
                self._unasked.end(request_id)

    async def _notify(self, method: str) -> None:
        self._process.write_line(encode_notification(method))

    @staticmethod
    def _expire(answer: asyncio.Future[Raw]) -> None:
        if not answer.done():
            answer.set_exception(TimeoutError())

    def _receive(self, line: bytes) -> None:
        try:
            if not line or line.isspace():
                self._unasked.count()
                return
            message = decode_incoming(line)
            if message.method is not UNSET:
                self._unasked.take(message, message.method)
            else:
                self._take_answer(message)
        except ProtocolViolation as violation:
            self._finish(violation)
            self._process.kill()

    def _reply(self, message: bytes) -> None:
        if self._end is not None:
            return
        if self._process.unsent_bytes > UNSENT_MAX_BYTES:
            self._finish(ProtocolViolation("The server asks and does not read the answers."))
            self._process.kill()
            return
        self._process.write_line(message)

    def _take_answer(self, message: Message) -> None:
        request_id = message.id
        if not isinstance(request_id, int) or not 0 < request_id <= self._last_id:
            if request_id is None and message.error is not UNSET:
                raise ProtocolViolation(f"The server could not read a request: {message.error.message[:200]}")
            raise ProtocolViolation(f"The server answered a request that was never sent ({str(request_id)[:40]!r}).")
        answer = self._pending.get(request_id)
        if answer is None or answer.done():
            # Timed out, cancelled, or answered twice: it cannot be told apart, and a few of them do no harm.
            self._unasked.count()
            return
        if message.error is not UNSET:
            answer.set_exception(RpcFailed(message.error))
        elif message.result is not UNSET:
            answer.set_result(message.result)
        else:
            raise ProtocolViolation("The server sent a response with neither result nor error.")

    def _flooded(self) -> None:
        self._finish(ProtocolViolation("The server sent a line above the limit and was ended."))

    def _ended(self, status: int | None) -> None:
        self._finish(ServerDied("The server ended.", details={"exit_status": status}))
        _log.info("the MCP server %s ended with status %s", self._label, status)

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
