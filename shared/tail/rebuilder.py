"""`commands.<service>.rebuild-projection`: the operator's word to build a read model anew."""

import logging
from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec
from faststream.nats import NatsBroker, NatsMessage

from shared.bus.broker import whole_message
from shared.db.outages import DATABASE_AWAY
from shared.eventstore.ports import EventLog
from shared.tail.projection import Projection, rebuild

_log = logging.getLogger(__name__)
_REFUSED_OR_AWAY: tuple[type[Exception], ...] = (*DATABASE_AWAY, asyncpg.PostgresError)


class RebuildProjection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Build the read model of this name anew."""

    name: str


class Rebuilder:
    """Does so for a service's projections. NATS lets only the operator and the service itself ask."""

    def __init__(
        self, service: str, projections: Sequence[Projection], log: EventLog, pool: "asyncpg.Pool[Any]"
    ) -> None:
        self._service = service
        self._projections = {projection.name: projection for projection in projections}
        self._log = log
        self._pool = pool

    def register(self, broker: NatsBroker) -> None:
        """Hear the command; one replica answers."""
        subject = f"commands.{self._service}.rebuild-projection"
        broker.subscriber(subject, queue=self._service, decoder=whole_message)(self._on_command)

    async def _on_command(self, message: NatsMessage) -> bytes:
        try:
            wanted = msgspec.json.decode(message.raw_message.data, type=RebuildProjection)
        except msgspec.MsgspecError as error:
            return _refused("invalid_input", str(error))
        projection = self._projections.get(wanted.name)
        if projection is None:
            return _refused("not_found", f"{self._service} has these projections: {', '.join(self._projections)}.")
        _log.warning("the projection %s is built anew", wanted.name)
        try:
            return msgspec.json.encode(await rebuild(projection, self._log, self._pool))
        except _REFUSED_OR_AWAY as error:
            _log.exception("the projection %s stays as it was", wanted.name)
            return _refused("unavailable", f"It stays as it was: {type(error).__name__}.")


def _refused(code: str, message: str) -> bytes:
    return msgspec.json.encode({"error": {"code": code, "message": message}})
