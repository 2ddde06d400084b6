"""Changes of health, written as events and into the row that shows a server's health."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

import asyncpg

from services.mcp_gateway.app.health import HealthChange
from services.mcp_gateway.app.sightings import Sighting, SightingStore
from services.mcp_gateway.domain.events import CATALOGUE, ServerHealthChanged
from services.mcp_gateway.limits import HEALTH_CHANGES_WAITING_MAX, RECORD_RETRY_SECONDS
from shared.db.outages import DATABASE_AWAY
from shared.errors import Unavailable
from shared.eventstore.errors import ConcurrentAppend
from shared.eventstore.event import EventMeta, NewEvent, encode_meta
from shared.eventstore.ports import EventLog
from shared.scope import TenantScope
from shared.tail.waker import Waker

_log = logging.getLogger(__name__)
_WAITED_OUT: tuple[type[Exception], ...] = (*DATABASE_AWAY, Unavailable)
_ACTOR = "service:mcp_gateway"


class HealthChanges:
    """A queue between those who find a change and the database. While that is away, the queue waits for it."""

    def __init__(self, log: EventLog, store: SightingStore, waker: Waker, observe: Callable[[str], None]) -> None:
        self._log = log
        self._store = store
        self._waker = waker
        self._observe = observe
        self._waiting: asyncio.Queue[HealthChange] = asyncio.Queue(HEALTH_CHANGES_WAITING_MAX)

    def announce(self, change: HealthChange) -> None:
        """Queue a change. Where too many wait the oldest is dropped: what is true now is said by the newest."""
        self._observe(change.status)
        if self._waiting.full():
            dropped = self._waiting.get_nowait()
            _log.warning("that the server %s was %s is not written: too much waits", dropped.server_id, dropped.status)
        self._waiting.put_nowait(change)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            change = await self._waiting.get()
            await self._insist(change)

    async def _insist(self, change: HealthChange) -> None:
        while True:
            try:
                await self._write(change)
            except _WAITED_OUT as error:
                _log.warning("a change of health waits to be written: %r", error)
                await asyncio.sleep(RECORD_RETRY_SECONDS)
            except Exception:  # noqa: BLE001 - one change that cannot be written must not end the process
                _log.exception("that the server %s is %s could not be written", change.server_id, change.status)
                return
            else:
                return

    async def _write(self, change: HealthChange) -> None:
        event = ServerHealthChanged(
            server_id=change.server_id,
            health_status=change.status,
            before=change.before,
            seen_at=change.seen_at,
            code=change.code,
        )
        meta = encode_meta(EventMeta(actor=_ACTOR))
        new = NewEvent(change.tenant_id, change.stream, change.version, event.TYPE, CATALOGUE.encode(event), meta)
        with suppress(ConcurrentAppend):  # which says: it was written before the connection broke
            await self._log.append([new])
        self._waker.wake()
        # The failure's own words may repeat a secret that the server was given: its code says enough.
        message = f"The last failure was {change.code}." if change.code else None
        seen = Sighting(change.status, change.seen_at, None, message, change.code)
        try:
            await self._store.save_health(TenantScope(change.tenant_id, _ACTOR), change.server_id, seen)
        except asyncpg.ForeignKeyViolationError:
            _log.info("the server %s was removed meanwhile", change.server_id)
