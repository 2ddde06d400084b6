"""Serving a `ToolServer` on stdin and stdout: one JSON-RPC message per line (MCP, stdio transport)."""

import asyncio
import logging
import os
import stat
import sys
from typing import cast

from services.mcp_gateway.limits import MIB, SERVER_DRAIN_SECONDS, SERVER_MESSAGE_MAX_BYTES
from services.mcp_gateway.servers.base import ToolServer
from services.mcp_gateway.servers.connection import Connection
from services.mcp_gateway.servers.wire import INVALID_REQUEST, Reply, RpcFault, encode_fault


class _Lines(asyncio.Protocol):
    """Splits what arrives into lines. A line above the bound is refused once and skipped up to its end."""

    def __init__(self, connection: Connection, output: "_Output") -> None:
        self._connection = connection
        self._output = output
        self._parts: list[bytes] = []
        self._size = 0
        self._skipping = False
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        head, newline, rest = data.partition(b"\n")
        while newline:
            self._take(head)
            self._finish_line()
            head, newline, rest = rest.partition(b"\n")
        self._take(head)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio names it
        self._finish_line()
        if not self.ended.done():
            self.ended.set_result(None)

    def _take(self, part: bytes) -> None:
        if not part or self._skipping:
            return
        self._size += len(part)
        if self._size <= SERVER_MESSAGE_MAX_BYTES:
            self._parts.append(part)
            return
        self._skipping = True
        self._parts.clear()
        fault = RpcFault(INVALID_REQUEST, f"A message has at most {SERVER_MESSAGE_MAX_BYTES} bytes")
        self._output.send(encode_fault(None, fault))

    def _finish_line(self) -> None:
        line = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        if self._skipping:
            self._skipping = False
        elif line:
            self._connection.receive(line, self._output.send)


class _FileOutput:
    """Writes lines to a regular file (`... > answers.jsonl`), which no event loop can watch."""

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor, "wb")

    def send(self, reply: Reply) -> None:
        self._file.write(reply.data + b"\n")

    async def flush(self) -> None:
        self._file.close()


class _PipeOutput(asyncio.Protocol):
    """Writes lines to stdout, and stops reading stdin while the client does not read what we wrote."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self.source: asyncio.ReadTransport | None = None
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio names it
        if not self.lost.done():
            self.lost.set_result(None)

    def pause_writing(self) -> None:
        if self.source is not None and not self.source.is_closing():
            self.source.pause_reading()

    def resume_writing(self) -> None:
        if self.source is not None and not self.source.is_closing():
            self.source.resume_reading()

    def send(self, reply: Reply) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(reply.data + b"\n")

    async def flush(self) -> None:
        """Close stdout after everything that was sent has left."""
        if self._transport is not None:
            self._transport.close()
        await self.lost


_Output = _FileOutput | _PipeOutput


async def _serve(server: ToolServer, protocol_output: int) -> None:
    loop = asyncio.get_running_loop()
    output: _Output
    if stat.S_ISREG(os.fstat(protocol_output).st_mode):
        output = _FileOutput(protocol_output)
    else:
        _, output = await loop.connect_write_pipe(_PipeOutput, os.fdopen(protocol_output, "wb", buffering=0))
    connection = Connection(server)
    lines = _Lines(connection, output)
    if stat.S_ISREG(os.fstat(0).st_mode):
        while chunk := os.read(0, MIB):
            lines.data_received(chunk)
            await asyncio.sleep(0)  # so that the calls that were read can run
        lines.connection_lost(None)
    else:
        source, _ = await loop.connect_read_pipe(lambda: lines, sys.stdin.buffer)
        if isinstance(output, _PipeOutput):
            output.source = source
            await asyncio.wait([lines.ended, output.lost], return_when=asyncio.FIRST_COMPLETED)
        else:
            await lines.ended
    try:
        async with asyncio.timeout(SERVER_DRAIN_SECONDS):
            await connection.drain()
            await output.flush()
    except TimeoutError:
        logging.getLogger(__name__).warning("ended with calls unfinished")
    # A tool's thread that never returns would keep the interpreter from ending.
    sys.stderr.flush()
    os._exit(0)


def serve_stdio(server: ToolServer) -> None:
    """Serve until stdin ends, then finish the running calls and exit. stdin must be a pipe, a socket or a terminal."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # The protocol owns stdout. A stray print, ours or a library's, must not end up between two messages.
    protocol_output = os.dup(1)
    os.dup2(2, 1)
    try:
        asyncio.run(_serve(server, protocol_output))
    except KeyboardInterrupt:
        sys.exit(130)
