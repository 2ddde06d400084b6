"""Events as they are stored: bytes with a type, at a version of a stream, at a position of the whole log."""

import datetime as dt
from uuid import UUID

import msgspec


class EventMeta(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where an event came from. `correlation_id` joins all that one request caused; `causation_id` is the message."""

    actor: str = "system"
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """An event to be appended. `version` counts from 1 in its stream; `data` and `meta` are JSON."""

    tenant_id: UUID
    stream_id: UUID
    version: int
    type: str
    data: bytes
    meta: bytes


class RecordedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event of the log. `position` grows over all streams of a service; gaps mean nothing."""

    position: int
    tenant_id: UUID
    stream_id: UUID
    version: int
    type: str
    data: bytes
    meta: bytes
    recorded_at: dt.datetime

    @property
    def event_id(self) -> str:
        """The event's identity: it follows from its place, so it costs no bytes and cannot be given twice."""
        return f"{self.stream_id}.{self.version}"


class Snapshot(msgspec.Struct, frozen=True):
    """The state of a stream after `version` events, as bytes that only its owner understands."""

    tenant_id: UUID
    stream_id: UUID
    version: int
    state: bytes


class LogPage(msgspec.Struct, frozen=True):
    """A stretch of the log up to and including position `upto`, and those of its events that were asked for.

    `more`: it ends where a bound was reached, so that there may be more at once.
    """

    upto: int
    events: list[RecordedEvent]
    more: bool = False


_encode_meta = msgspec.json.Encoder().encode
_decode_meta = msgspec.json.Decoder(EventMeta).decode


def encode_meta(meta: EventMeta) -> bytes:
    """Return `meta` as stored."""
    return _encode_meta(meta)


def decode_meta(raw: bytes) -> EventMeta:
    """Return what `encode_meta` stored."""
    return _decode_meta(raw)
