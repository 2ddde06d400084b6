"""Stands where the database is: a log in memory whose commits can be held back, and which can be out of order."""

import asyncio
from collections.abc import Mapping, Sequence
from uuid import UUID

import asyncpg

from services.mcp_gateway.adapters.records import CallRecords
from shared.eventstore.event import NewEvent, RecordedEvent
from shared.eventstore.memory import InMemoryEventLog
from shared.tail.waker import Waker

BAD = b'"no row can hold this"'


class CallLog(InMemoryEventLog):
    """The log, and the pool through which calls are written into it."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.outages = 0
        self.away = False
        self.commits: list[int] = []

    async def fetchval(self, _: str, *columns: Sequence[object]) -> int:
        await self.open.wait()
        self._answer()
        if BAD in columns[4]:
            raise asyncpg.DataError
        self.commits.append(len(columns[6]))
        return await self.append([NewEvent(*event) for event in zip(*columns[:6], strict=True)])  # type: ignore[arg-type]

    async def read_streams(
        self, stream_ids: Sequence[UUID], *, whole: bool = False
    ) -> Mapping[UUID, list[RecordedEvent]]:
        self._answer()
        return await super().read_streams(stream_ids, whole=whole)

    def _answer(self) -> None:
        if self.away:
            raise ConnectionRefusedError("the database is away")
        if self.outages:
            self.outages -= 1
            raise ConnectionResetError("the database went away")


def recording(log: CallLog, *, pending_max: int = 100, bytes_max: int = 10_000) -> CallRecords:
    """Return records on this log that are being written."""
    records = CallRecords(log, log, Waker("mcp_gateway"), pending_max=pending_max, bytes_max=bytes_max)  # type: ignore[arg-type]
    records.start()
    return records
