"""What is said on the event stream of one answer, kept for a while so that a client that was cut off can go on."""

import asyncio
from collections import deque

from services.mcp_gateway.limits import MCP_STREAM_FRAMES_MAX, MCP_STREAM_MAX_BYTES


class Frames:
    """Messages in their order, each with a number. Above the bounds on number and bytes, the oldest are dropped.

    With a `name`, each has an id by which a stream can be resumed (streamable HTTP, resumability).
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self.ended = False
        self._frames: deque[bytes] = deque()
        self._dropped = 0
        self._size = 0
        self._news = asyncio.Event()
        self._first: asyncio.Future[None] | None = None

    @property
    def said(self) -> int:
        """How many messages there were."""
        return self._dropped + len(self._frames)

    def put(self, message: bytes) -> None:
        """Say something. Never waits."""
        self._frames.append(message)
        self._size += len(message)
        while len(self._frames) > 1 and (
            len(self._frames) > MCP_STREAM_FRAMES_MAX or self._size > MCP_STREAM_MAX_BYTES
        ):
            self._size -= len(self._frames.popleft())
            self._dropped += 1
        self._news.set()
        if self._first is not None and not self._first.done():
            self._first.set_result(None)

    def first(self) -> "asyncio.Future[None]":
        """Return a future that is done when something was said."""
        if self._first is None:
            self._first = asyncio.get_running_loop().create_future()
            if self.said:
                self._first.set_result(None)
        return self._first

    def end(self) -> None:
        """Nothing more will be said."""
        self.ended = True
        self._news.set()

    async def news(self) -> None:
        """Return when something was said since the last `take`, or the end."""
        await self._news.wait()

    def take(self, number: int) -> tuple[bytes, int]:
        """Return all events after the first `number` messages as they go over the wire, and how many messages that is.

        There is one reader at a time: this also marks what there is as heard.
        """
        if not self.ended:
            self._news.clear()
        first = max(0, number - self._dropped)
        events = []
        for place in range(first, len(self._frames)):
            identity = "" if self.name is None else f"id: {self.name}/{self._dropped + place + 1}\n"
            events.append(f"{identity}event: message\ndata: ".encode() + self._frames[place] + b"\n\n")
        return b"".join(events), self.said
