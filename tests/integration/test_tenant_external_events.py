"""What a tenant publishes reaches the durable consumer of the service that starts workflows by it."""

import asyncio

import nats
import pytest
from faststream.nats import NatsMessage

from shared.bus.broker import client_of, make_broker
from shared.bus.durable import consume
from shared.bus.outcome import Done, Outcome
from shared.bus.streams import EXTERNAL, ensure_streams
from shared.settings import Settings
from tests.conftest import Backbone

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_external_event_reaches_a_durable_consumer_of_the_workflow_service(backbone: Backbone) -> None:
    settings = Settings(
        postgres_dsn="", postgres_worker_dsn="", nats_url=backbone.nats_url, nats_seed=backbone.nats_seed("workflow")
    )
    broker = make_broker(settings, "workflow")
    seen: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    async def note(message: NatsMessage) -> Outcome:
        seen.put_nowait((message.raw_message.subject, message.raw_message.data))
        return Done()

    consume(
        broker, EXTERNAL, "events.*.external.>", service="workflow", durable="external-test", handler=note,
        max_in_flight=2, only_new=True,
    )  # fmt: skip
    await broker.connect()
    await ensure_streams(client_of(broker).jetstream())
    await broker.start()
    client = await nats.connect(backbone.nats_url, nkeys_seed_str=backbone.nats_seed())
    await client.publish("events.one.external.order.placed", b"{}")
    await client.flush()
    assert await asyncio.wait_for(seen.get(), 3) == ("events.one.external.order.placed", b"{}")
    await client.close()
    await broker.stop()
