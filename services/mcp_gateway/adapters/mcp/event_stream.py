"""Server-sent events, as far as MCP uses them (WHATWG HTML, section 9.2.6: interpreting an event stream)."""

from collections.abc import Iterator

import msgspec

from services.mcp_gateway.errors import ProtocolViolation
from services.mcp_gateway.limits import HTTP_EVENT_LINES_MAX, HTTP_STREAM_MAX_BYTES, MESSAGE_MAX_BYTES


class ServerEvent(msgspec.Struct, frozen=True):
    """One dispatched event. Its data may be empty: such an event only carries an id."""

    data: bytes
    name: str = "message"


class EventStreamParser:
    """Takes chunks and gives events. A stream without end is not `bounded`; its events are.

    `last_id` and `retry_ms` are what the stream said last, for resuming it.
    """

    def __init__(self, *, bounded: bool = True) -> None:
        self._bounded = bounded
        self._parts: list[bytes] = []  # of a line that is not whole yet
        self._tail_size = 0
        self._taken = 0
        self._lines = 0  # since the last event with data
        self._data: list[bytes] = []
        self._size = 0
        self._name = b""
        self.last_id: str | None = None
        self.retry_ms: int | None = None

    def feed(self, chunk: bytes) -> Iterator[ServerEvent]:
        """Yield the events that this chunk completes.

        Raises `ProtocolViolation` for an event above the bounds, and for a stream that says more than any answer needs.
        """
        self._taken += len(chunk)
        if self._bounded and self._taken > HTTP_STREAM_MAX_BYTES:
            raise ProtocolViolation("The server sent a stream above the limit.")
        *lines, rest = chunk.split(b"\n")
        self._lines += len(lines)
        if self._lines > HTTP_EVENT_LINES_MAX:
            raise ProtocolViolation("The server sent lines above the limit, and no event.")
        if lines:
            lines[0] = b"".join((*self._parts, lines[0]))
            self._parts.clear()
            self._tail_size = 0
        if rest:
            self._parts.append(rest)
            self._tail_size += len(rest)
        if self._tail_size + self._size > MESSAGE_MAX_BYTES:
            raise ProtocolViolation("The server sent an event above the limit.")
        for line in lines:
            event = self._line(line.removesuffix(b"\r"))
            if event is not None:
                if event.data:
                    self._lines = 0
                yield event

    def begin_anew(self) -> None:
        """Let the stream say as much as from its beginning on: it carries many answers, and one of them came."""
        self._taken = 0

    def _line(self, line: bytes) -> ServerEvent | None:
        if not line:
            data, self._data, self._size = self._data, [], 0
            name, self._name = self._name.decode("utf-8", "replace") or "message", b""
            return ServerEvent(b"\n".join(data), name) if data else None
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._size += len(value)
            if self._size > MESSAGE_MAX_BYTES:
                raise ProtocolViolation("The server sent an event above the limit.")
            self._data.append(value)
        elif field == b"event":
            self._name = value
        elif field == b"id" and b"\0" not in value:
            self.last_id = value.decode("utf-8", "replace")
        elif field == b"retry" and value.isdigit():
            self.retry_ms = int(value[:9])
        return None
