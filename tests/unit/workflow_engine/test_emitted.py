"""How what executions emit is published, and what of it starts others."""

import datetime as dt
import json
from typing import Any
from uuid import UUID

import msgspec
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.workflow.adapters.emitted import SHAPES, shape_emitted
from services.workflow.domain.events import EXECUTION_EVENTS, EventEmitted, ExecutionCompleted
from services.workflow.entry.triggers import trigger_consumers
from shared.bus.cloudevents import fact_of
from shared.bus.outcome import Done
from shared.bus.streams import EMITTED
from shared.eventstore.catalogue import DomainEvent
from shared.eventstore.event import EventMeta, RecordedEvent, encode_meta
from shared.limits import FACT_MAX_BYTES

TENANT = UUID(int=2)
STREAM = UUID(int=3)


def recorded(event: DomainEvent) -> RecordedEvent:
    meta = encode_meta(EventMeta("user:ada", "c", "d", "00-trace"))
    data = EXECUTION_EVENTS.encode(event)
    return RecordedEvent(9, TENANT, STREAM, 4, event.TYPE, data, meta, dt.datetime(2026, 1, 1, tzinfo=dt.UTC))


@pytest.mark.parametrize("data", [None, {"a": "ü", "n": 1.50}, [], "text"])
def test_an_emitted_event_has_the_shape_that_its_step_says(data: Any) -> None:
    fact = shape_emitted(recorded(EventEmitted(1, "e", "orders.paid", "order.paid.v1", data, 3)))
    assert fact.subject == f"emitted.{TENANT}.orders.paid"
    assert json.loads(fact.data) == data
    assert fact.headers == {
        "ce-specversion": "1.0",
        "ce-id": f"{STREAM}.4",
        "ce-source": "/workflow",
        "ce-type": "order.paid.v1",
        "ce-subject": str(STREAM),
        "ce-time": "2026-01-01T00:00:00Z",
        "ce-tenantid": str(TENANT),
        "ce-actor": "user:ada",
        "ce-streamversion": "4",
        "ce-position": "9",
        "ce-depth": "3",
        "ce-correlationid": "c",
        "ce-causationid": "d",
        "ce-traceparent": "00-trace",
        "content-type": "application/json",
        "Nats-Msg-Id": f"{STREAM}.4",
    }


def test_every_event_that_was_ever_emitted_can_be_published() -> None:
    oldest = msgspec.structs.replace(
        recorded(EventEmitted(1, "e", "a", "b", None)), data=b'{"at":1,"path":"e","subject":"a","event_type":"b"}'
    )
    fact = shape_emitted(oldest)
    assert (fact.data, fact.headers["ce-depth"]) == (b"null", "0")


def test_only_what_is_emitted_has_a_shape_of_its_own() -> None:
    assert list(SHAPES) == [EventEmitted.TYPE]
    usual = fact_of("workflow", recorded(ExecutionCompleted(1, "x")))
    assert usual.subject == f"events.{TENANT}.workflow.execution.completed"
    large = fact_of("workflow", recorded(ExecutionCompleted(1, "x" * FACT_MAX_BYTES)))
    assert large.data == b""
    assert int(large.headers["ce-dataomitted"]) > FACT_MAX_BYTES


class Listening:
    """Triggers that note whose they were asked for, and have none."""

    def __init__(self) -> None:
        self.asked: list[UUID] = []

    async def of(self, tenant_id: UUID) -> list[Any]:
        self.asked.append(tenant_id)
        return []


@pytest.mark.parametrize(
    ("reader", "subject", "headers", "looked"),
    [
        (0, f"events.{TENANT}.external.a", {}, True),
        (0, f"events.{TENANT}.external.a", {"Nats-Stream": "OTHER"}, True),
        (0, f"events.{TENANT}.external.a", {"Nats-Stream": EMITTED.name}, False),
        (1, f"emitted.{TENANT}.a.b", {}, True),
    ],
)
async def test_what_is_emitted_is_looked_at_once(
    reader: int, subject: str, headers: dict[str, str], *, looked: bool
) -> None:
    triggers = Listening()
    consumer = trigger_consumers(triggers, None)[reader]  # type: ignore[arg-type]
    message = Msg(Client(), subject, data=b"{}", headers={"ce-id": "1", **headers})
    assert await consumer.handler(message) == Done()
    assert triggers.asked == ([TENANT] if looked else [])
