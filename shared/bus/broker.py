"""The one connection of a service to NATS, as a FastStream broker."""

import logging

from faststream.nats import NatsBroker, NatsMessage
from faststream.nats.security import NatsNKey
from nats.aio.client import Client

from shared.bus.inboxes import inbox_prefix
from shared.errors import Unavailable
from shared.limits import HTTP_DRAIN_S, NATS_PENDING_BYTES
from shared.settings import Settings

_log = logging.getLogger(__name__)


def make_broker(settings: Settings, service: str) -> NatsBroker:
    """Return the broker; handlers are registered on it before it is started.

    It reconnects for ever. Handlers get what `shared.bus` decoded, so FastStream's own validation is off.
    """
    return NatsBroker(
        settings.nats_url,
        name=f"{service}/{settings.instance}",
        security=NatsNKey.from_seed(settings.nats_seed) if settings.nats_seed else None,
        inbox_prefix=inbox_prefix(service),
        max_reconnect_attempts=-1,
        reconnect_time_wait=1,
        ping_interval=10,
        pending_size=NATS_PENDING_BYTES,
        graceful_timeout=HTTP_DRAIN_S,
        apply_types=False,
        logger=None,  # what goes wrong is logged where it is handled
        log_level=logging.DEBUG,  # two lines a message are not for the log of every day
    )


def client_of(broker: NatsBroker) -> Client:
    """Return the broker's connected client, for publishing without an envelope of FastStream's."""
    client = broker.connection
    if not isinstance(client, Client):
        raise Unavailable("NATS is not connected.")
    return client


async def whole_message(message: NatsMessage) -> NatsMessage:
    """A FastStream decoder that hands over the message itself: bodies are decoded by msgspec, into typed structs."""
    return message
