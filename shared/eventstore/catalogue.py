"""Which event types a service writes, how they are encoded, and how those of older versions are read today."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import msgspec


class DomainEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of a service's events.

    `TYPE` is the stored tag with its version (`workflow.step-completed.v1`): `<service>.<aggregate>-<event>.v<n>`.
    It is a contract for ever: new fields have defaults, a breaking change is a new tag and an upcaster.
    `PUBLIC` events leave the service as CloudEvents; the others are seen through its API alone.
    """

    TYPE: ClassVar[str]
    PUBLIC: ClassVar[bool] = False


Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


class UnknownEventType(LookupError):
    """The log holds a type that this code does not know: it is older than the data."""


class EventCatalogue:
    """Encodes and decodes the events of one service."""

    def __init__(self, types: Iterable[type[DomainEvent]]) -> None:
        self._decoders = {t.TYPE: msgspec.json.Decoder(t) for t in types}
        self._classes = {t.TYPE: t for t in types}
        self._upcasters: dict[str, tuple[str, Upcaster]] = {}
        self._encode = msgspec.json.Encoder().encode
        self.public_types = sorted(t.TYPE for t in types if t.PUBLIC)

    def upcast(self, old: str, new: str, change: Upcaster) -> None:
        """Read events stored as `old` by `change`-ing their JSON object into that of `new` (may chain)."""
        if new not in self._decoders and new not in self._upcasters:
            raise UnknownEventType(new)
        self._upcasters[old] = (new, change)

    def encode(self, event: DomainEvent) -> bytes:
        """Return the event's body as JSON."""
        return self._encode(event)

    def decode(self, type_: str, data: bytes) -> DomainEvent:
        """Return the event that was stored, raised to today's version of its type."""
        decoder = self._decoders.get(type_)
        if decoder is not None:
            return decoder.decode(data)
        if type_ not in self._upcasters:
            raise UnknownEventType(type_)
        body = msgspec.json.decode(data)
        while type_ in self._upcasters:
            type_, change = self._upcasters[type_]
            body = change(body)
        return msgspec.convert(body, self._classes[type_])
