"""Calls on disk: many in one commit, with a bound on what waits for it."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import asyncpg

from services.mcp_gateway.adapters.outages import as_unavailable, blames_a_row
from services.mcp_gateway.app.ports import CallUnit
from services.mcp_gateway.domain.events import CATALOGUE
from services.mcp_gateway.limits import (
    RECORD_READ_SECONDS,
    RECORD_RETRY_SECONDS,
    RECORDS_DRAIN_SECONDS,
    RECORDS_GATHER_SECONDS,
    RECORDS_PENDING_BYTES_MAX,
    RECORDS_PENDING_MAX,
    RECORDS_SETTLE_SECONDS,
)
from shared.db.kept import KeptConnections
from shared.db.outages import DATABASE_AWAY
from shared.db.queries import load_queries
from shared.errors import Unavailable
from shared.eventstore.errors import ConcurrentAppend
from shared.eventstore.event import RecordedEvent
from shared.eventstore.group_commit import GroupCommit
from shared.eventstore.ports import EventLog
from shared.eventstore.postgres import columns
from shared.tail.waker import Waker

_log = logging.getLogger(__name__)
_sql = load_queries(Path(__file__).parent / "records.sql")
_PUBLIC = frozenset(CATALOGUE.public_types)
_WAITED_OUT: tuple[type[Exception], ...] = (*DATABASE_AWAY, asyncpg.PostgresError, Unavailable)


class CallRecords:
    """`Records` on Postgres, through the worker's login."""

    def __init__(
        self,
        log: EventLog,
        writing: KeptConnections,
        waker: Waker,
        *,
        pending_max: int = RECORDS_PENDING_MAX,
        bytes_max: int = RECORDS_PENDING_BYTES_MAX,
    ) -> None:
        self._log = log
        self._writing = writing
        self._waker = waker
        self._pending_max = pending_max
        self._bytes_max = bytes_max
        self._group: GroupCommit[CallUnit] = GroupCommit(log, self._commit, blames_a_unit=blames_a_row)
        self._pending: dict[asyncio.Task[int], UUID] = {}
        self._gathered: list[CallUnit] = []
        self._sent_at = -RECORDS_GATHER_SECONDS
        self._sending: asyncio.Handle | None = None
        self.pending_bytes = 0

    @property
    def pending(self) -> int:
        """Units that wait to be written."""
        return len(self._pending) + len(self._gathered)

    def start(self) -> None:
        """Start writing."""
        self._group.start()

    async def close(self) -> None:
        """Write what waits, for a bounded time, and stop. What could not be written is lost and said so."""
        self._send_gathered()
        if self._pending:
            await asyncio.wait(self._pending, timeout=RECORDS_DRAIN_SECONDS)
        if self._pending:
            _log.error("%d calls could not be recorded before the end", len(self._pending))
            for task in self._pending:
                task.cancel()
            await asyncio.gather(*self._pending, return_exceptions=True)
        await self._group.close()

    def admit(self) -> None:
        if self.pending >= self._pending_max or self.pending_bytes >= self._bytes_max:
            raise Unavailable("Calls cannot be recorded as fast as they come: try again.", retry_after=1)

    async def write(self, unit: CallUnit) -> int:
        self._send_gathered()
        with as_unavailable():
            return await self._group.append(unit)

    def write_later(self, unit: CallUnit) -> None:
        self.pending_bytes += unit.size
        self._gathered.append(unit)
        if self._sending is None:
            loop = asyncio.get_running_loop()
            # The first one goes at once; a commit for each of many that follow would cost more than their calls.
            pause = self._sent_at + RECORDS_GATHER_SECONDS - loop.time()
            self._sending = (
                loop.call_soon(self._send_gathered) if pause <= 0 else loop.call_later(pause, self._send_gathered)
            )

    async def write_surely(self, unit: CallUnit, seconds: float) -> int | None:
        self._send_gathered()
        self.pending_bytes += unit.size
        writing = self._queue(unit)
        await asyncio.wait([writing], timeout=seconds)
        if not writing.done() or writing.cancelled():
            return None
        error = writing.exception()
        if isinstance(error, ConcurrentAppend):
            raise error
        return None if error is not None else writing.result()

    async def events_of(self, call_id: UUID) -> list[RecordedEvent]:
        with as_unavailable():
            async with asyncio.timeout(RECORD_READ_SECONDS):
                while True:
                    try:
                        return list((await self._log.read_streams([call_id]))[call_id])
                    except _WAITED_OUT as error:
                        _log.warning("the events of a call cannot be read yet: %r", error)
                        await asyncio.sleep(RECORD_RETRY_SECONDS)

    async def settled(self, tenant_id: UUID) -> None:
        """Return when the tenant's calls that wait now are written, or after a while: so a caller sees its own."""
        self._send_gathered()
        waiting = [task for task, tenant in self._pending.items() if tenant == tenant_id]
        if waiting:
            await asyncio.wait(waiting, timeout=RECORDS_SETTLE_SECONDS)

    def _send_gathered(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
        if self._gathered:
            self._sent_at = asyncio.get_running_loop().time()
            gathered, self._gathered = self._gathered, []
            for unit in gathered:
                self._queue(unit)

    def _queue(self, unit: CallUnit) -> "asyncio.Task[int]":
        task = asyncio.get_running_loop().create_task(self._insist(unit))
        self._pending[task] = unit.events[0].tenant_id
        task.add_done_callback(self._written)
        return task

    async def _insist(self, unit: CallUnit) -> int:
        try:
            while True:
                try:
                    return await self._group.append(unit)
                except _WAITED_OUT as error:
                    if blames_a_row(error):
                        raise
                    _log.warning("a call waits to be recorded: %r", error)
                    await asyncio.sleep(RECORD_RETRY_SECONDS)
        finally:
            self.pending_bytes -= unit.size

    def _written(self, task: "asyncio.Task[int]") -> None:
        del self._pending[task]
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ConcurrentAppend):  # which says: it was recorded before
            _log.error("a call could not be recorded", exc_info=error)

    async def _commit(self, units: Sequence[CallUnit]) -> int:
        events = [event for unit in units for event in unit.events]
        rows = zip(*(unit.row for unit in units), strict=True)
        try:
            position = await self._writing.fetchval(_sql.record, *columns(events), *rows)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name != "events_stream_version":
                raise
            raise ConcurrentAppend(frozenset(event.stream_id for event in events)) from error
        self._waker.wake(facts=any(event.type in _PUBLIC for event in events))
        return int(position)
