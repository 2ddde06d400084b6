"""Facts for others, as CloudEvents 1.0 in the NATS binding's binary mode: attributes in `ce-*` headers, data as is."""

from collections.abc import Callable
from uuid import UUID

import msgspec

from shared.eventstore.event import RecordedEvent, decode_meta
from shared.limits import FACT_MAX_BYTES

SPEC_VERSION = "1.0"


class Fact(msgspec.Struct, frozen=True):
    """A public event as it is published. Its subject is one of a stream that confirms what it stores."""

    subject: str
    headers: dict[str, str]
    data: bytes


Shape = Callable[[RecordedEvent], Fact]
"""Says how events of a type are published. It is given what its own service recorded and does not raise."""


def fact_of(service: str, event: RecordedEvent) -> Fact:
    """Return an event as its type says. Data that NATS would not take is left out: who wants it asks the service."""
    headers, data = headers_of(service, event), event.data
    if len(data) > FACT_MAX_BYTES:
        headers["ce-dataomitted"] = str(len(data))
        data = b""
    return Fact(subject_of(service, event), headers, data)


def subject_of(service: str, event: RecordedEvent) -> str:
    """Return `events.<tenant>.<service>.<aggregate>.<event>` for the tag `<service>.<aggregate>-<event>.v<n>`."""
    aggregate, _, happened = event.type.split(".")[1].rpartition("-")
    return f"events.{event.tenant_id}.{service}.{aggregate}.{happened}"


def headers_of(service: str, event: RecordedEvent) -> dict[str, str]:
    """Return the message headers. The JetStream message id is the event's, so that a second publish is dropped."""
    meta = decode_meta(event.meta)
    headers = {
        "ce-specversion": SPEC_VERSION,
        "ce-id": event.event_id,
        "ce-source": f"/{service}",
        "ce-type": event.type,
        "ce-subject": str(event.stream_id),
        "ce-time": event.recorded_at.isoformat().replace("+00:00", "Z"),
        "ce-tenantid": str(event.tenant_id),
        "ce-actor": meta.actor,
        "ce-streamversion": str(event.version),
        "ce-position": str(event.position),
        "content-type": "application/json",
        "Nats-Msg-Id": event.event_id,
    }
    if meta.correlation_id:
        headers["ce-correlationid"] = meta.correlation_id
    if meta.causation_id:
        headers["ce-causationid"] = meta.causation_id
    if meta.traceparent:
        headers["ce-traceparent"] = meta.traceparent
    return headers


def tenant_of(subject: str) -> UUID:
    """Return the tenant whose event a subject carries; raises `ValueError` for another subject."""
    parts = subject.split(".", 2)
    if len(parts) < 3 or parts[0] != "events":  # noqa: PLR2004 — events.<tenant>.<rest>
        raise ValueError(f"{subject!r} is no event subject")
    return UUID(parts[1])
