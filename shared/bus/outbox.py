"""Results on their way to the engine: whatever is ready in one turn of the event loop travels in one message."""

import asyncio
import logging
from collections.abc import Callable

from nats.aio.client import Client
from nats.errors import Error as NatsError

from shared.bus.envelope import pack
from shared.bus.tasks import result_subject
from shared.errors import PlatformError

_log = logging.getLogger(__name__)


class ResultOutbox:
    """Collects encoded results by partition and publishes them as lists. No timer: an idle result goes alone."""

    def __init__(self, client: Callable[[], Client], lost: Callable[[int], None]) -> None:
        self._client = client
        self._lost = lost
        self._waiting: dict[int, list[bytes]] = {}
        self._flushing: asyncio.Task[None] | None = None

    def put(self, partition: int, result: bytes) -> None:
        """Queue a result."""
        self._waiting.setdefault(partition, []).append(result)
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())

    async def flushed(self) -> None:
        """Return when everything that was put was handed to the connection, or given up."""
        while self._flushing is not None:
            await asyncio.wait([self._flushing])

    async def _flush(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(0)  # let everything that is ready in this turn arrive
                waiting, self._waiting = self._waiting, {}
                for partition, results in waiting.items():
                    await self._publish(result_subject(partition), results)
        finally:
            self._flushing = None

    async def _publish(self, subject: str, results: list[bytes]) -> None:
        try:
            for body in pack(results):
                await self._client().publish(subject, body)
        except (NatsError, PlatformError) as error:
            # The engine asks again for what it did not hear, and is then answered from memory.
            _log.warning("%d results for %s could not be published: %r", len(results), subject, error)
            self._lost(len(results))
