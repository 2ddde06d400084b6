"""Processes that stand beside the platform: the upstream over HTTP, and fastmcp's proxy before either upstream."""

import asyncio
import socket
import sys
from asyncio.subprocess import Process
from pathlib import Path
from types import TracebackType
from typing import Self

_START_S = 30.0


class Listening:
    """A process that listens on a port of this machine. As a context manager it starts, and is killed."""

    def __init__(self, *argv: str, port: int) -> None:
        self._argv = argv
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(*self._argv)
        async with asyncio.timeout(_START_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except ConnectionError:
                    if self._process.returncode is not None:
                        raise
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    @property
    def pid(self) -> int:
        """Raises `AttributeError` before it was started."""
        return self._process.pid  # type: ignore[union-attr]


def http_upstream() -> Listening:
    """Return the upstream over HTTP."""
    port = free_port()
    return Listening(sys.executable, str(Path(__file__).with_name("upstream.py")), "--http", str(port), port=port)


def fastmcp_proxy(python: str, *upstream: str, kept: bool) -> Listening:
    """Return fastmcp's proxy before a URL or a command line, run by an interpreter that has it."""
    port = free_port()
    program = str(Path(__file__).with_name("fastmcp_proxy.py"))
    return Listening(python, program, str(port), "kept" if kept else "fresh", *upstream, port=port)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
