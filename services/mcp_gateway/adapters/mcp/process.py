"""A server process behind its warden: lines in, lines out, a bounded stderr, and an end that is always noticed."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

from services.mcp_gateway.adapters.mcp import warden
from services.mcp_gateway.limits import (
    CLOSE_STDIN_GRACE_SECONDS,
    KILL_GRACE_SECONDS,
    MESSAGE_MAX_BYTES,
    PIPES_END_SECONDS,
    STDERR_BYTES_PER_SECOND,
    STDERR_LINE_MAX_BYTES,
    STDERR_LINES_LOGGED_PER_SECOND,
    TERMINATE_GRACE_SECONDS,
)

_log = logging.getLogger(__name__)
_WARDEN = str(Path(warden.__file__))


class LineProcess(asyncio.SubprocessProtocol):
    """One running command. The callbacks run on the event loop and must not block.

    `on_line` gets each line of stdout without its end. `on_flood` is called once, for a line above the bound; the
    process is killed then. `on_end` is called once with the exit status, after the last line.
    """

    def __init__(
        self,
        label: str,
        *,
        on_line: Callable[[bytes], object],
        on_flood: Callable[[], None],
        on_end: Callable[[int | None], None],
    ) -> None:
        self._label = label
        self._on_line = on_line
        self._on_flood = on_flood
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.SubprocessTransport | None = None
        self._stdin: asyncio.WriteTransport | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._stopped = False
        self._stderr = _Stderr(label)
        self.ended = self._loop.create_future()

    async def start(
        self, command: list[str], *, cwd: str, env: dict[str, str], rlimits: dict[str, int], scratch: str | None
    ) -> None:
        """Start the command under a warden, which removes the folder `scratch` when all is over.

        Raises `OSError` when not even the warden can be started.
        """
        order = {
            "command": command,
            "limits": rlimits,
            "grace": TERMINATE_GRACE_SECONDS,
            "parent": os.getpid(),
            "scratch": scratch,
        }
        await self._loop.subprocess_exec(
            lambda: self,
            *(sys.executable, "-I", "-S", _WARDEN, json.dumps(order)),
            cwd=cwd,
            env=env,
            start_new_session=True,
        )

    @property
    def unsent_bytes(self) -> int:
        return self._stdin.get_write_buffer_size() if self._stdin is not None else 0

    def write_line(self, line: bytes) -> None:
        """Queue one line for stdin. Writing to a process that has ended does nothing: its end is reported anyway."""
        if self._stdin is not None and not self._stdin.is_closing():
            self._stdin.write(line + b"\n")

    def kill(self) -> None:
        """Kill the process and everything that it started, now, and read no more of what it says."""
        self._stopped = True
        self._signal(signal.SIGQUIT)
        for descriptor in (1, 2):
            self._close_pipe(descriptor)

    async def close(self) -> None:
        """End the process as the protocol says: close stdin, wait, SIGTERM, wait, kill. Returns when all is gone."""
        if self._transport is None:
            return
        if self._stdin is not None:
            self._stdin.close()
        if await self._ends_within(CLOSE_STDIN_GRACE_SECONDS):
            return
        self._signal(signal.SIGTERM)
        if await self._ends_within(TERMINATE_GRACE_SECONDS + KILL_GRACE_SECONDS):
            return
        _log.error("the MCP server %s and its warden did not end when told; killing the warden", self._label)
        self._signal(signal.SIGKILL)
        self._transport.close()
        await self._ends_within(KILL_GRACE_SECONDS)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self._stdin = cast("asyncio.WriteTransport | None", self._transport.get_pipe_transport(0))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:  # noqa: PLR2004 - stderr
            if not self._stderr.receive(data):
                self._pause_stderr()
            return
        *lines, rest = data.split(b"\n")  # in one go: to cut a line off a flood of short ones copies the others
        for line in lines:
            if self._stopped:
                return
            self._parts.append(line)
            whole = b"".join(self._parts)
            self._parts.clear()
            self._size = 0
            self._on_line(whole)
        if rest and not self._stopped:
            self._parts.append(rest)
            self._size += len(rest)
            if self._size > MESSAGE_MAX_BYTES:
                self._parts.clear()
                self._on_flood()
                self.kill()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio names it
        if fd == 1 and not self._stopped:
            # Whoever closes stdout can never answer again. The warden makes sure that this is the end of all of it.
            self._stopped = True
            self._signal(signal.SIGTERM)

    def process_exited(self) -> None:
        # The warden is gone, and everything with it: the pipes end now. Unless it was killed itself.
        self._loop.call_later(PIPES_END_SECONDS, self._abandon)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio names it
        if self.ended.done() or self._transport is None:
            return
        status = self._transport.get_returncode()
        self._transport.close()
        self.ended.set_result(None)
        self._on_end(status)

    def _abandon(self) -> None:
        """Kill what is left of the process group and let go of pipes that a survivor still holds."""
        if self.ended.done() or self._transport is None:
            return
        _log.error("the warden of the MCP server %s was killed; killing its process group", self._label)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._transport.get_pid(), signal.SIGKILL)
        self._transport.close()

    async def _ends_within(self, seconds: float) -> bool:
        done, _ = await asyncio.wait([self.ended], timeout=seconds)
        return bool(done)

    def _signal(self, number: signal.Signals) -> None:
        if self._transport is None or self._transport.get_returncode() is not None:
            return
        pid = self._transport.get_pid()
        with contextlib.suppress(ProcessLookupError, ChildProcessError):  # it ended, and the loop was not told yet
            # Looked at without being waited for: the transport's own way takes the exit status from who waits for it.
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                os.kill(pid, number)

    def _close_pipe(self, descriptor: int) -> None:
        pipe = self._transport.get_pipe_transport(descriptor) if self._transport is not None else None
        if pipe is not None:
            pipe.close()

    def _pause_stderr(self) -> None:
        """Stop reading stderr for a second: a process that only logs then waits, instead of using up our time."""
        pipe = self._transport.get_pipe_transport(2) if self._transport is not None else None
        if pipe is not None and not pipe.is_closing():
            reader = cast("asyncio.ReadTransport", pipe)
            reader.pause_reading()
            self._loop.call_later(1.0, self._resume_stderr, reader)

    def _resume_stderr(self, reader: asyncio.ReadTransport) -> None:
        self._stderr.next_second()
        if not reader.is_closing():
            reader.resume_reading()


class _Stderr:
    """Logs the first lines of each second."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._line = b""
        self._bytes = 0
        self._logged = 0
        self._second = 0

    def next_second(self) -> None:
        self._bytes = 0
        self._logged = 0

    def receive(self, data: bytes) -> bool:
        """Take what was written. Returns False when this second's share of bytes is used up."""
        second = int(asyncio.get_running_loop().time())
        if second != self._second:
            self._second = second
            self.next_second()
        self._bytes += len(data)
        *lines, rest = (self._line + data).split(b"\n")
        self._line = rest[:STDERR_LINE_MAX_BYTES]
        for line in lines:
            if self._logged < STDERR_LINES_LOGGED_PER_SECOND:
                self._logged += 1
                text = line[:STDERR_LINE_MAX_BYTES].decode("utf-8", "replace").rstrip()
                _log.info("MCP server %s: %s", self._label, text)
        return self._bytes < STDERR_BYTES_PER_SECOND
