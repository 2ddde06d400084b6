"""`Prefer: wait=N`: who waits for an execution hears of its end as every subscriber does, from its event on NATS."""

import asyncio
from collections import defaultdict
from typing import Self
from uuid import UUID

from nats.aio.client import Client
from nats.aio.msg import Msg

_ENDS = ("completed", "failed", "cancelled")


class Endings:
    """The ends of executions, as they are published."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)

    async def listen(self, client: Client) -> None:
        """Begin to hear of ends."""

        async def on_end(message: Msg) -> None:
            stream = (message.headers or {}).get("ce-subject", "")
            for event in self._waiting.get(stream, ()):
                event.set()

        for end in _ENDS:
            await client.subscribe(f"events.*.workflow.execution.{end}", cb=on_end)

    def expect(self, execution_id: UUID) -> "Expected":
        """Return something to wait on; begin before the execution does, so that no end is missed."""
        return Expected(self._waiting, str(execution_id))


class Expected:
    """Waits for one end. Use as a context manager."""

    def __init__(self, waiting: dict[str, set[asyncio.Event]], key: str) -> None:
        self._waiting = waiting
        self._key = key
        self._event = asyncio.Event()

    def __enter__(self) -> Self:
        self._waiting[self._key].add(self._event)
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting[self._key].discard(self._event)
        if not self._waiting[self._key]:
            del self._waiting[self._key]

    async def wait(self, seconds: float) -> bool:
        """Return whether the end came within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        return True
