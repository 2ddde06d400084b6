"""The relay and a NATS server that dies between a publish and its ack."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import nats
import pytest
from nats.js.errors import Error as JetStreamError

from infra.local.backbone import Bus
from infra.local.kept import Progress
from infra.local.nats_permissions import OPERATOR
from infra.local.parts import Parts
from infra.local.paths import DataDir
from services.workflow.adapters.emitted import SHAPES
from services.workflow.domain.events import EXECUTION_EVENTS, EventEmitted, ExecutionCancelled
from shared.bus.inboxes import inbox_prefix
from shared.bus.streams import ensure_streams
from shared.eventstore.event import EventMeta, NewEvent, encode_meta
from shared.eventstore.memory import InMemoryEventLog
from shared.ids import new_id
from shared.tail.relay import Relay
from shared.tail.waker import Waker

PATIENCE_S = 30.0


def _event(tenant_id: UUID) -> NewEvent:
    event = ExecutionCancelled(0, "a test")
    meta = encode_meta(EventMeta("service:chaos", None))
    return NewEvent(tenant_id, new_id(), 1, event.TYPE, EXECUTION_EVENTS.encode(event), meta)


def _emitted(tenant_id: UUID) -> NewEvent:
    event = EventEmitted(0, "tell", "order.paid", "order.paid.v1", {"sum": 7})
    meta = encode_meta(EventMeta("service:chaos", None))
    return NewEvent(tenant_id, new_id(), 1, event.TYPE, EXECUTION_EVENTS.encode(event), meta)


@pytest.mark.parametrize(("stream", "event"), [("EVENTS", _event), ("EMITTED", _emitted)])
async def test_what_was_not_acked_is_published_again(
    data_dir: Path, stream: str, event: Callable[[UUID], NewEvent]
) -> None:
    def unwatched(_: Progress) -> None:
        """Nobody watches."""

    async def ignore(_: Exception) -> None:
        """The server is killed on purpose."""

    place = DataDir(data_dir)
    place.create()
    parts, bus, log, waker = Parts(place, unwatched), Bus(place, None), InMemoryEventLog(), Waker("workflow")
    await bus.start(parts)
    client = await nats.connect(
        bus.url,
        nkeys_seed_str=bus.seed(OPERATOR),
        inbox_prefix=inbox_prefix(OPERATOR).encode(),
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.1,
        error_cb=ignore,
    )
    js = client.jetstream()
    await ensure_streams(js)
    relaying = asyncio.create_task(
        Relay("workflow", log, client, waker, list(EXECUTION_EVENTS.public_types), SHAPES).run()
    )
    try:
        await log.append([event(new_id())])
        waker.wake()
        async with asyncio.timeout(PATIENCE_S):
            while (await js.stream_info(stream)).state.messages != 1:
                await asyncio.sleep(0.02)
        os.kill(parts.pids()["nats"], signal.SIGSTOP)
        sent = client.stats["out_msgs"]
        await log.append([event(new_id())])
        waker.wake()
        async with asyncio.timeout(PATIENCE_S):
            while client.stats["out_msgs"] == sent or client.pending_data_size:
                await asyncio.sleep(0.02)
        parts.kill("nats")  # what the stopped server had not read yet goes with it, and no ack will ever come
        async with asyncio.timeout(PATIENCE_S):
            while await _stored(js, stream) != 2:
                await asyncio.sleep(0.1)
        assert not relaying.done()
    finally:
        relaying.cancel()
        await asyncio.gather(relaying, return_exceptions=True)
        await client.close()
        await parts.stop()


async def _stored(js: nats.js.JetStreamContext, stream: str) -> int:
    try:
        return (await js.stream_info(stream)).state.messages
    except (JetStreamError, nats.errors.Error):
        return 0  # the server is away
