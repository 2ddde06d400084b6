"""Durable consumers: JetStream work with explicit acks, and dead letters for what fails again and again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import BadSubscriptionError
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamConfig
from nats.js.errors import BadRequestError, NotFoundError

from shared.bus.deadletters import bury
from shared.bus.inboxes import inbox_prefix
from shared.bus.outcome import Done, Outcome, Poison, Retry
from shared.bus.streams import ensure_streams
from shared.limits import CONSUMER_LOOK_S, NATS_PENDING_BYTES, REDELIVERIES_MAX, REDELIVERY_PAUSE_MAX_S

_log = logging.getLogger(__name__)

Handler = Callable[[Msg], Awaitable[Outcome]]

# How the server says that a consumer of this name, made in another way, is there.
_MADE_MEANWHILE = frozenset({10013, 10148})


class DurableConsumer(msgspec.Struct, frozen=True, kw_only=True):
    """What is read, and by what. Replicas of a service share the messages of one `durable`.

    `max_in_flight` bounds the messages that are handled at once, over all replicas. A message that was not settled
    within `ack_wait_s` seconds comes again.
    """

    service: str
    stream: StreamConfig
    subject: str
    durable: str
    handler: Handler
    max_in_flight: int
    ack_wait_s: float = 30.0
    only_new: bool = False


class DurableReader:
    """Reads for one `DurableConsumer`.

    `Retry` brings a message back as often as it is said. An exception of the handler is a bug: the message comes again,
    with a growing pause, and after `REDELIVERIES_MAX` tries goes to the dead letters with the reason. Acks are explicit
    and single: acking a newer message must never ack an older one that awaits redelivery.

    It reads from the connection itself: each message is handled in a task of its own, and what FastStream adds to a
    message costs more than the message. The settings of a consumer that exists are left as they are.
    """

    def __init__(self, consumer: DurableConsumer) -> None:
        self._consumer = consumer
        self._handling: set[asyncio.Task[None]] = set()
        self._subscription: JetStreamContext.PushSubscription | None = None
        self._inbox: str | None = None
        self._client: Client | None = None
        self._draining = False

    async def start(self, client: Client) -> None:
        """Begin to read; the streams must be there."""
        wanted = self._consumer
        js = client.jetstream()
        try:
            self._subscription = await self._subscribe(js)
        except BadRequestError as error:
            if error.err_code not in _MADE_MEANWHILE:
                raise
            self._subscription = await self._subscribe(js)  # by another replica: this time it is found
        self._inbox = (await js.consumer_info(str(wanted.stream.name), wanted.durable)).config.deliver_subject
        self._client = client

    async def _subscribe(self, js: JetStreamContext) -> JetStreamContext.PushSubscription:
        wanted = self._consumer
        return await js.subscribe(
            wanted.subject,
            queue=wanted.durable,
            cb=self._on_message,
            stream=str(wanted.stream.name),
            config=ConsumerConfig(
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=wanted.ack_wait_s,
                max_ack_pending=wanted.max_in_flight,
                # The same for all replicas: else one of them could move it away from those that were there first.
                deliver_subject=f"{inbox_prefix(wanted.service)}.{wanted.stream.name}.{wanted.durable}",
                deliver_policy=DeliverPolicy.NEW if wanted.only_new else DeliverPolicy.ALL,
            ),
            manual_ack=True,
            pending_bytes_limit=NATS_PENDING_BYTES,
        )

    async def watch(self) -> None:
        """Look again and again whether the server still has the consumer: one whose disk was lost has it no more."""
        while True:
            await asyncio.sleep(CONSUMER_LOOK_S)
            if self._client is None or not self._client.is_connected or self._draining:
                continue
            try:
                await self._look(self._client)
            except (NatsError, TimeoutError) as error:
                _log.warning("the consumer %s cannot be looked at: %r", self._consumer.durable, error)

    async def drain(self) -> None:
        """Take nothing more, and return when what was taken is settled."""
        self._draining = True
        await self._hear_no_more()
        while self._handling:
            await asyncio.wait(self._handling)

    async def _look(self, client: Client) -> None:
        js = client.jetstream()
        try:
            info = await js.consumer_info(str(self._consumer.stream.name), self._consumer.durable)
        except NotFoundError:
            _log.warning("the consumer %s is gone and is made anew", self._consumer.durable)
            await ensure_streams(js)
        else:
            # Another replica may have made it anew, with another place to deliver to.
            if self._subscription is not None and info.config.deliver_subject == self._inbox:
                return
        await self._hear_no_more()
        if not self._draining:
            await self.start(client)

    async def _hear_no_more(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with suppress(BadSubscriptionError):  # the connection was closed before
                await subscription.unsubscribe()

    async def _on_message(self, message: Msg) -> None:
        task = asyncio.create_task(self._handle(message))
        self._handling.add(task)
        task.add_done_callback(self._handling.discard)

    async def _handle(self, message: Msg) -> None:
        try:
            outcome = await self._consumer.handler(message)
        except Exception as error:  # noqa: BLE001 - whatever it is, the message is settled
            _log.exception("%s: a message on %s failed", self._consumer.service, message.subject)
            outcome = _after_failure(message, error)
        try:
            await self._settle(message, outcome)
        except (NatsError, TimeoutError) as error:
            _log.warning("a message on %s comes again: it could not be settled: %r", message.subject, error)

    async def _settle(self, message: Msg, outcome: Outcome) -> None:
        match outcome:
            case Done():
                await message.ack()
            case Retry(after=after):
                await message.nak(delay=after)
            case Poison(why=why) if self._client is not None:
                service = self._consumer.service
                await bury(self._client, service, message.subject, message.data, why, message.headers)
                await message.ack()


def _after_failure(message: Msg, error: Exception) -> Outcome:
    tries = message.metadata.num_delivered or 1
    if tries > REDELIVERIES_MAX:
        return Poison(f"failed {tries} times, at last with {type(error).__name__}: {error}")
    return Retry(after=min(REDELIVERY_PAUSE_MAX_S, 0.5 * 2**tries), why=str(error))
