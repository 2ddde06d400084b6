"""How an event that an execution emits is published: as the definition names it, with nothing but the step's data."""

import msgspec

from services.workflow.domain.events import EventEmitted
from shared.bus.cloudevents import Fact, Shape, headers_of
from shared.eventstore.event import RecordedEvent

DEPTH = "ce-depth"


class _Emitted(msgspec.Struct):
    """`EventEmitted`, with its data as it is written."""

    subject: str
    event_type: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    depth: int = 0


_decode = msgspec.json.Decoder(_Emitted).decode


def shape_emitted(event: RecordedEvent) -> Fact:
    """Return a CloudEvent on `emitted.<tenant>.<subject>`, which the server says again on `events.<tenant>.external.…`.

    `ce-depth` counts the executions that led to it, each started by what the one before it emitted.
    """
    emitted = _decode(event.data)
    headers = headers_of("workflow", event)
    headers["ce-type"] = emitted.event_type
    headers[DEPTH] = str(emitted.depth)
    return Fact(f"emitted.{event.tenant_id}.{emitted.subject}", headers, bytes(emitted.data))


SHAPES: dict[str, Shape] = {EventEmitted.TYPE: shape_emitted}
