"""Many messages to JetStream and one wait: nothing counts as stored that is not."""

import asyncio
from collections.abc import AsyncIterator

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.js.api import StreamConfig

from shared.bus.cloudevents import Fact
from shared.bus.confirmed import ConfirmedPublisher
from shared.errors import Unavailable
from shared.ids import new_id
from tests.conftest import Backbone

pytestmark = pytest.mark.asyncio(loop_scope="session")
PATIENCE_S = 30.0


@pytest_asyncio.fixture(loop_scope="session")
async def client(backbone: Backbone) -> AsyncIterator[Client]:
    connected = await nats.connect(backbone.nats_url, nkeys_seed_str=backbone.nats_seed())
    yield connected
    await connected.close()


async def stream_of(client: Client, **config: int) -> str:
    name = f"T{new_id().hex}"
    await client.jetstream().add_stream(StreamConfig(name=name, subjects=[f"{name}.>"], **config))
    return name


def facts(name: str, *numbers: int, size: int = 1) -> list[Fact]:
    return [Fact(f"{name}.{n}", {"Nats-Msg-Id": f"{name}-{n}"}, b"x" * size) for n in numbers]


async def test_all_are_stored_when_it_returns_and_repeats_are_no_error(client: Client) -> None:
    name = await stream_of(client)
    async with asyncio.timeout(PATIENCE_S), ConfirmedPublisher(client) as publisher:
        await publisher.publish(facts(name, *range(500)))
        assert (await client.jetstream().stream_info(name)).state.messages == 500
        await publisher.publish(facts(name, *range(490, 510)))
        await publisher.publish([])
        assert (await client.jetstream().stream_info(name)).state.messages == 510


async def test_what_no_stream_takes_is_an_error(client: Client) -> None:
    name = await stream_of(client)
    async with asyncio.timeout(PATIENCE_S), ConfirmedPublisher(client) as publisher:
        with pytest.raises(Unavailable):
            await publisher.publish([*facts(name, 1), Fact(f"nowhere.{name}", {}, b"")])
        await publisher.publish(facts(name, 2))


async def test_what_a_stream_refuses_is_an_error(client: Client) -> None:
    name = await stream_of(client, max_msg_size=100)
    async with asyncio.timeout(PATIENCE_S), ConfirmedPublisher(client) as publisher:
        with pytest.raises(Unavailable, match="size"):
            await publisher.publish([*facts(name, 1), *facts(name, 2, size=1000), *facts(name, 3)])
        await publisher.publish(facts(name, 4))
