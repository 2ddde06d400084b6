"""Tells the world: tails the log and publishes public events to `events.<tenant>.…`, at least once, in stream order."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from nats.aio.client import Client

from shared.bus.cloudevents import Fact, Shape, fact_of
from shared.bus.confirmed import ConfirmedPublisher
from shared.errors import Unavailable
from shared.eventstore.event import RecordedEvent
from shared.eventstore.ports import EventLog
from shared.limits import (
    LEADER_RETRY_S,
    RELAY_ACK_TIMEOUT_S,
    RELAY_BUSY_EVENTS,
    RELAY_CHECKPOINT_S,
    RELAY_PAGE,
    RELAY_PAUSE_S,
)
from shared.tail.waker import Waker

_log = logging.getLogger(__name__)
CHECKPOINT = "relay"
"""The name under which it keeps how far it has read."""


class Relay:
    """Publishes what lies after its checkpoint. Runs on one replica at a time (see `shared.tail.leader`).

    The checkpoint is kept only once JetStream has stored what lies before it; what a crash repeats, JetStream drops by
    message id for two minutes, and consumers by `ce-id` for ever. `shapes` has the types that are not published as
    facts usually are.
    """

    def __init__(
        self,
        service: str,
        log: EventLog,
        client: Client,
        waker: Waker,
        types: list[str],
        shapes: Mapping[str, Shape] = MappingProxyType({}),
    ) -> None:
        self._service = service
        self._log = log
        self._client = client
        self._waker = waker
        self._types = types
        self._shapes = shapes
        self._position = 0
        self._saved = 0
        self._saved_at = 0.0

    async def run(self) -> None:
        """Relay until cancelled."""
        self._position = self._saved = await self._log.read_checkpoint(CHECKPOINT)
        with self._waker.listener(facts=True) as listener:
            async with ConfirmedPublisher(self._client) as publisher:
                while True:
                    if not self._client.is_connected:
                        await listener.wait()  # publishing now would only fill the buffer
                        continue
                    relayed = await self._relay_page(publisher)
                    await self._save_now_and_then()
                    if relayed is None:
                        continue
                    if relayed >= RELAY_BUSY_EVENTS:
                        await asyncio.sleep(RELAY_PAUSE_S)  # under load: a read a handful of commits, not each one
                    await listener.wait()

    async def _relay_page(self, publisher: ConfirmedPublisher) -> int | None:
        """Relay what there is and return how much, or None if there may be more at once."""
        page = await self._log.read_page(self._position, RELAY_PAGE, self._types)
        if page.events and not await self._publish(publisher, page.events):
            return None
        self._position = page.upto
        return None if page.more else len(page.events)

    async def _publish(self, publisher: ConfirmedPublisher, events: Sequence[RecordedEvent]) -> bool:
        """Return whether JetStream has stored them all. A server that dies takes its confirmations with it.

        What it refuses (a full stream, a stream that is not there yet) is published until it does not.
        """
        try:
            async with asyncio.timeout(RELAY_ACK_TIMEOUT_S):
                await publisher.publish([self._fact(event) for event in events])
        except TimeoutError:
            _log.warning("%d events are published again: not all were confirmed", len(events))
            return False
        except Unavailable as error:
            _log.warning("%d events are published again in %g s: %s", len(events), LEADER_RETRY_S, error)
            await asyncio.sleep(LEADER_RETRY_S)
            return False
        return True

    def _fact(self, event: RecordedEvent) -> Fact:
        shape = self._shapes.get(event.type)
        return fact_of(self._service, event) if shape is None else shape(event)

    async def _save_now_and_then(self) -> None:
        """Save the checkpoint, but not so often that its commits slow those of the log."""
        now = asyncio.get_running_loop().time()
        if self._position != self._saved and now - self._saved_at > RELAY_CHECKPOINT_S:
            await self._log.save_checkpoint(CHECKPOINT, self._position)
            self._saved, self._saved_at = self._position, now
