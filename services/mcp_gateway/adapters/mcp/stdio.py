"""Sessions with servers that are processes of ours: one JSON-RPC message per line over their stdin and stdout."""

import asyncio
import logging
import shutil
import tempfile

from services.mcp_gateway.adapters.mcp.codec import encode_notification
from services.mcp_gateway.adapters.mcp.launch import CommandAllowList, StdioLaunch, environment
from services.mcp_gateway.adapters.mcp.model import Opening
from services.mcp_gateway.adapters.mcp.multiplexed import Answer, MultiplexedSession
from services.mcp_gateway.adapters.mcp.process import LineProcess
from services.mcp_gateway.app.relay import Era
from services.mcp_gateway.errors import ProtocolViolation, ServerDied, ServerUnavailable
from services.mcp_gateway.limits import UNSENT_MAX_BYTES

_log = logging.getLogger(__name__)


class StdioSession(MultiplexedSession):
    """A server process of our own."""

    def __init__(self, label: str, opening: Opening) -> None:
        super().__init__(opening)
        self._label = label
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

    async def _notify(self, method: str) -> None:
        self._process.write_line(encode_notification(method))

    @property
    def _congested(self) -> bool:
        return self._process.unsent_bytes > UNSENT_MAX_BYTES

    def _write(self, message: bytes, answer: Answer | None = None) -> None:  # noqa: ARG002 - its end fails all answers
        self._process.write_line(message)

    def _abort(self) -> None:
        self._process.kill()

    def _flooded(self) -> None:
        self._finish(ProtocolViolation("The server sent a line above the limit and was ended."))

    def _ended(self, status: int | None) -> None:
        self._finish(ServerDied("The server ended.", details={"exit_status": status}))
        _log.info("the MCP server %s ended with status %s", self._label, status)
