"""A durable consumer that the server lost, that another replica made anew, and what fails for ever."""

import asyncio

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.bus import durable
from shared.bus.durable import DurableConsumer, DurableReader
from shared.bus.outcome import Done, Outcome, Retry
from shared.bus.streams import COMMANDS, ensure_streams
from tests.conftest import Backbone

pytestmark = pytest.mark.asyncio(loop_scope="session")

SUBJECT = "commands.workflow.control-execution"
PATIENCE_S = 20.0


async def connected(backbone: Backbone) -> Client:
    client = await nats.connect(backbone.nats_url, nkeys_seed_str=backbone.nats_seed())
    await ensure_streams(client.jetstream())
    return client


def reader(name: str, handler: durable.Handler) -> DurableReader:
    return DurableReader(
        DurableConsumer(
            service="workflow", stream=COMMANDS, subject=SUBJECT, durable=name, handler=handler, max_in_flight=8
        )
    )


async def test_a_consumer_that_is_gone_is_made_anew(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "CONSUMER_LOOK_S", 0.1)
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def note(message: Msg) -> Outcome:
        heard.put_nowait(message.data)
        return Done()

    client = await connected(backbone)
    js = client.jetstream()
    one, two = reader("lost", note), reader("lost", note)
    watching = []
    for each in (one, two):
        await each.start(client)
        watching.append(asyncio.create_task(each.watch()))
    await js.delete_consumer(str(COMMANDS.name), "lost")
    for number in range(20):  # whichever of the two reads, both follow the consumer to where it delivers now
        await js.publish(SUBJECT, str(number).encode())
        await asyncio.sleep(0.05)
    async with asyncio.timeout(PATIENCE_S):
        assert {await heard.get() for _ in range(20)} == {str(number).encode() for number in range(20)}
        while one._inbox != two._inbox:
            await asyncio.sleep(0.05)
    await asyncio.gather(one.drain(), two.drain())
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
    await js.delete_consumer(str(COMMANDS.name), "lost")
    await client.close()


async def test_replicas_that_start_at_once_share_one_consumer(backbone: Backbone) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def note(message: Msg) -> Outcome:
        heard.put_nowait(message.data)
        return Done()

    clients = [await connected(backbone) for _ in range(6)]
    js = clients[0].jetstream()
    for round_ in range(3):
        readers = [reader(f"race-{round_}", note) for _ in clients]
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(each.start(client) for each, client in zip(readers, clients, strict=True)))
            await js.publish(SUBJECT, b"%d" % round_)
            assert await heard.get() == b"%d" % round_
        assert len({each._inbox for each in readers}) == 1
        await asyncio.gather(*(each.drain() for each in readers))
        await asyncio.gather(*(client.flush() for client in clients))  # the ack comes before what follows
        await js.delete_consumer(str(COMMANDS.name), f"race-{round_}")
    assert heard.empty()
    for client in clients:
        await client.close()


async def test_a_message_that_comes_at_a_bad_time_comes_again_and_is_never_a_dead_letter(backbone: Backbone) -> None:
    tries = 0
    ended = asyncio.Event()

    async def not_now(_: Msg) -> Outcome:
        nonlocal tries
        tries += 1
        if tries < 9:
            return Retry(0.01, "not now")
        ended.set()
        return Done()

    client = await connected(backbone)
    js = client.jetstream()
    letters = (await js.stream_info("DEADLETTER")).state.messages
    one = reader("patient", not_now)
    await one.start(client)
    await js.publish(SUBJECT, b"[]")
    await asyncio.wait_for(ended.wait(), PATIENCE_S)
    await one.drain()
    assert (await js.stream_info("DEADLETTER")).state.messages == letters
    await js.delete_consumer(str(COMMANDS.name), "patient")
    await client.close()
