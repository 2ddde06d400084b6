"""What a tenant publishes reaches the durable consumer of the service that starts workflows by it."""

import asyncio

import nats
import pytest
from nats.aio.msg import Msg

from shared.bus.broker import client_of, make_broker
from shared.bus.durable import DurableConsumer, DurableReader
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

    async def note(message: Msg) -> Outcome:
        seen.put_nowait((message.subject, message.data))
        return Done()

    await broker.connect()
    await ensure_streams(client_of(broker).jetstream())
    reader = DurableReader(
        DurableConsumer(
            service="workflow",
            stream=EXTERNAL,
            subject="events.*.external.>",
            durable="external-test",
            handler=note,
            max_in_flight=2,
            only_new=True,
        )
    )
    await reader.start(client_of(broker))
    client = await nats.connect(backbone.nats_url, nkeys_seed_str=backbone.nats_seed())
    await client.publish("events.one.external.order.placed", b"{}")
    await client.flush()
    assert await asyncio.wait_for(seen.get(), 3) == ("events.one.external.order.placed", b"{}")
    await reader.drain()
    await client.close()
    await broker.stop()
