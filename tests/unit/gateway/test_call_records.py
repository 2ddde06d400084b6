"""What waits to be recorded is bounded, survives an outage, and is written once."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from services.mcp_gateway.adapters.records import CallRecords
from services.mcp_gateway.app.ports import CallUnit
from shared.errors import Unavailable
from shared.eventstore.event import NewEvent
from shared.eventstore.memory import InMemoryEventLog
from shared.tail.waker import Waker

TENANT = uuid4()


class Pool:
    """Stands where the database is: holds each commit until it is let through, and can be out of order."""

    def __init__(self, log: InMemoryEventLog) -> None:
        self.log = log
        self.open = asyncio.Event()
        self.open.set()
        self.outages = 0
        self.commits: list[int] = []

    async def fetchval(self, _: str, *columns: Sequence[object]) -> int:
        await self.open.wait()
        if self.outages:
            self.outages -= 1
            raise ConnectionResetError("the database went away")
        self.commits.append(len(columns[6]))
        return await self.log.append([NewEvent(*event) for event in zip(*columns[:6], strict=True)])  # type: ignore[arg-type]


def unit(call: UUID | None = None, size: int = 10) -> CallUnit:
    event = NewEvent(TENANT, call or uuid4(), 1, "mcp.tool-call-requested.v1", b"{}", b"{}")
    return CallUnit([event], (TENANT, event.stream_id, *[None] * 13), size)


@pytest.fixture
def pool() -> Pool:
    return Pool(InMemoryEventLog())


def recording(pool: Pool, *, pending_max: int = 100, bytes_max: int = 10_000) -> CallRecords:
    records = CallRecords(pool.log, pool, Waker("mcp_gateway"), pending_max=pending_max, bytes_max=bytes_max)  # type: ignore[arg-type]
    records.start()
    return records


async def test_many_calls_share_a_commit_and_the_end_waits_for_all(pool: Pool) -> None:
    records = recording(pool)
    for _ in range(50):
        records.write_later(unit())
    await records.close()
    assert sum(pool.commits) == 50
    assert len(pool.commits) <= 2
    assert (records.pending, records.pending_bytes) == (0, 0)


@pytest.mark.parametrize(("pending_max", "bytes_max"), [(3, 10_000), (100, 30)])
async def test_when_too_much_waits_calls_are_refused(pool: Pool, pending_max: int, bytes_max: int) -> None:
    records = recording(pool, pending_max=pending_max, bytes_max=bytes_max)
    pool.open.clear()
    for _ in range(3):
        records.admit()
        records.write_later(unit())
    with pytest.raises(Unavailable):
        records.admit()
    pool.open.set()
    await records.settled(TENANT)
    records.admit()
    await records.close()


async def test_an_outage_is_waited_out(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.mcp_gateway.adapters.records.RECORD_RETRY_SECONDS", 0.01)
    records = recording(pool)
    pool.outages = 3
    calls = [uuid4() for _ in range(5)]
    for call in calls:
        records.write_later(unit(call))
    await records.settled(TENANT)
    assert await pool.log.versions(calls) == dict.fromkeys(calls, 1)
    await records.close()


async def test_a_call_that_was_recorded_before_is_not_recorded_again(pool: Pool) -> None:
    records = recording(pool)
    call = uuid4()
    await records.write(unit(call))
    records.write_later(unit(call))
    fresh = uuid4()
    records.write_later(unit(fresh))
    await records.settled(TENANT)
    assert await pool.log.versions([call, fresh]) == {call: 1, fresh: 1}
    await records.close()
