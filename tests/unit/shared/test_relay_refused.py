"""A relay whose stream refuses what is published: it tries again after a pause, and never goes past it."""

import asyncio
import logging
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, Self, cast

import pytest

from services.workflow.domain.events import EXECUTION_EVENTS, ExecutionCancelled
from shared.bus.cloudevents import Fact
from shared.errors import Unavailable
from shared.eventstore.event import EventMeta, NewEvent, encode_meta
from shared.eventstore.memory import InMemoryEventLog
from shared.ids import new_id
from shared.tail import relay
from shared.tail.waker import Waker
from tests.unit.workflow_engine.engine_house import until


class Publisher:
    """`ConfirmedPublisher` of a stream that refuses as often as it is told to."""

    refusals: ClassVar[int] = 0
    published: ClassVar[list[list[str]]] = []

    def __init__(self, client: Any) -> None:
        self._client = client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def publish(self, facts: Sequence[Fact]) -> None:
        Publisher.published.append([fact.headers["ce-id"] for fact in facts])
        if Publisher.refusals:
            Publisher.refusals -= 1
            raise Unavailable("JetStream did not store a message: maximum bytes exceeded", retry_after=1)


def event() -> NewEvent:
    body = EXECUTION_EVENTS.encode(ExecutionCancelled(0, "a test"))
    meta = encode_meta(EventMeta("service:test", None))
    return NewEvent(new_id(), new_id(), 1, ExecutionCancelled.TYPE, body, meta)


async def test_what_is_refused_is_published_again_after_a_pause(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        assert await log.read_checkpoint("relay") == 0
        pauses.append(seconds)

    log = InMemoryEventLog()
    monkeypatch.setattr(relay, "ConfirmedPublisher", Publisher)
    monkeypatch.setattr(relay, "RELAY_CHECKPOINT_S", -1.0)
    monkeypatch.setattr(relay, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": pause}))
    monkeypatch.setattr(Publisher, "refusals", 2)
    monkeypatch.setattr(Publisher, "published", [])
    upto = await log.append([event()])
    await log.append([event()])
    client = cast("Any", SimpleNamespace(is_connected=True))
    relaying = asyncio.create_task(
        relay.Relay("workflow", log, client, Waker("workflow"), list(EXECUTION_EVENTS.public_types)).run()
    )
    await until(lambda: relaying.done() or len(Publisher.published) == 3)
    async with asyncio.timeout(10):
        while not relaying.done() and await log.read_checkpoint("relay") <= upto:
            await asyncio.sleep(0.001)
    assert not relaying.done()
    relaying.cancel()
    await asyncio.gather(relaying, return_exceptions=True)
    assert Publisher.published[0] == Publisher.published[1] == Publisher.published[2]
    assert len(Publisher.published[0]) == 2
    assert pauses == [relay.LEADER_RETRY_S] * 2
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "maximum bytes exceeded" in caplog.text
