"""Durable consumers: JetStream work with explicit acks, bounded redelivery and a dead-letter stream."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, NatsMessage
from nats.js.api import AckPolicy as JsAckPolicy
from nats.js.api import ConsumerConfig, DeliverPolicy, StreamConfig

from shared.bus.broker import client_of, whole_message
from shared.bus.outcome import Done, Outcome, Poison, Retry
from shared.limits import REDELIVERIES_MAX

_log = logging.getLogger(__name__)

Handler = Callable[[NatsMessage], Awaitable[Outcome]]


def consume(  # noqa: PLR0913 - the parts of a JetStream consumer
    broker: NatsBroker,
    stream: StreamConfig,
    subject: str,
    *,
    service: str,
    durable: str,
    handler: Handler,
    max_in_flight: int,
    ack_wait_s: float = 30,
    only_new: bool = False,
) -> None:
    """Register `handler` for a subject of a stream; replicas of the service share the messages.

    An exception is a bug or an outage: the message comes again, with a growing pause, and after
    `REDELIVERIES_MAX` tries goes to `deadletter.<service>` with the reason. Acks are explicit and single: acking a
    newer message must never ack an older one that awaits redelivery.

    Each message is handled in a task of its own; how many there are is bounded by the acks that may be outstanding
    (`max_in_flight`). FastStream's own `max_workers` does the same for several times the cost a message.
    """
    handling: set[asyncio.Task[None]] = set()

    async def on_message(message: NatsMessage) -> None:
        task = asyncio.create_task(handle(message))
        handling.add(task)
        task.add_done_callback(handling.discard)

    async def handle(message: NatsMessage) -> None:
        try:
            outcome = await handler(message)
        except Exception as error:  # noqa: BLE001 - whatever it is, the message is settled
            _log.exception("%s: a message on %s failed", service, message.raw_message.subject)
            outcome = _after_failure(message, error)
        await _settle(broker, service, message, outcome)

    broker.subscriber(
        subject,
        queue=durable,
        stream=JStream(str(stream.name), declare=False),
        config=ConsumerConfig(
            ack_policy=JsAckPolicy.EXPLICIT,
            ack_wait=ack_wait_s,
            max_ack_pending=max_in_flight,
            deliver_policy=DeliverPolicy.NEW if only_new else DeliverPolicy.ALL,
        ),
        ack_policy=AckPolicy.MANUAL,
        decoder=whole_message,
        no_reply=True,  # answers are sent by handlers, when there is something to say
    )(on_message)


def _after_failure(message: NatsMessage, error: Exception) -> Outcome:
    tries = message.raw_message.metadata.num_delivered or 1
    if tries > REDELIVERIES_MAX:
        return Poison(f"failed {tries} times, at last with {type(error).__name__}: {error}")
    return Retry(after=min(30.0, 0.5 * 2**tries), why=str(error))


async def _settle(broker: NatsBroker, service: str, message: NatsMessage, outcome: Outcome) -> None:
    match outcome:
        case Done():
            await message.ack()
        case Retry(after=after):
            await message.nack(delay=after)
        case Poison(why=why):
            raw = message.raw_message
            headers = {**(raw.headers or {}), "agentic-subject": raw.subject, "agentic-reason": why[:1000]}
            headers.pop("Nats-Msg-Id", None)
            await client_of(broker).jetstream().publish(f"deadletter.{service}", raw.data, headers=headers)
            await message.ack()
            _log.warning("%s: a message on %s went to the dead letters: %s", service, raw.subject, why)
