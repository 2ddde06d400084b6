"""What waits to be recorded is bounded, survives an outage, and is written once."""

import asyncio
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from services.mcp_gateway.adapters.records import CallRecords
from services.mcp_gateway.app.ports import CallUnit
from shared.errors import Unavailable
from shared.eventstore.errors import ConcurrentAppend
from shared.eventstore.event import NewEvent
from shared.tail.waker import Waker
from tests.unit.gateway.call_log import BAD, CallLog, recording

TENANT = uuid4()


GATHER = "services.mcp_gateway.adapters.records.RECORDS_GATHER_SECONDS"
RETRY = "services.mcp_gateway.adapters.records.RECORD_RETRY_SECONDS"


def unit(call: UUID | None = None, size: int = 10, data: bytes = b"{}") -> CallUnit:
    event = NewEvent(TENANT, call or uuid4(), 1, "mcp.tool-call-requested.v1", data, b"{}")
    return CallUnit([event], (TENANT, event.stream_id, *[None] * 13), size)


async def turns() -> None:
    """Let all that is ready be done, and what that makes ready."""
    for _ in range(20):
        await asyncio.sleep(0)


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not what():
            await asyncio.sleep(0)


async def test_many_calls_share_a_commit_and_the_end_waits_for_all() -> None:
    log = CallLog()
    records = recording(log)
    for _ in range(50):
        records.write_later(unit())
    await records.close()
    assert sum(log.commits) == 50
    assert len(log.commits) <= 2
    assert (records.pending, records.pending_bytes) == (0, 0)


@pytest.mark.parametrize("hurried_by", ["settled", "write", "write_surely", "close", "the clock"])
async def test_calls_that_follow_one_another_wait_a_little_for_a_commit_of_theirs(
    monkeypatch: pytest.MonkeyPatch, hurried_by: str
) -> None:
    monkeypatch.setattr(GATHER, 0.05 if hurried_by == "the clock" else 60.0)
    log = CallLog()
    records = recording(log)
    records.write_later(unit())
    await until(lambda: log.commits == [1])
    for _ in range(5):
        records.write_later(unit())
        await turns()
    if hurried_by != "the clock":  # which does not wait for a slow machine
        assert (log.commits, records.pending, records.pending_bytes) == ([1], 5, 50)
    if hurried_by == "settled":
        await records.settled(TENANT)
    elif hurried_by == "write":
        await records.write(unit())
    elif hurried_by == "write_surely":
        await records.write_surely(unit(), 10)
    elif hurried_by == "close":
        await records.close()
    await until(lambda: records.pending == 0)
    assert sum(log.commits) == (7 if hurried_by.startswith("write") else 6)
    assert records.pending_bytes == 0
    await records.close()


@pytest.mark.parametrize(("pending_max", "bytes_max"), [(3, 10_000), (100, 30)])
async def test_when_too_much_waits_calls_are_refused(pending_max: int, bytes_max: int) -> None:
    log = CallLog()
    records = recording(log, pending_max=pending_max, bytes_max=bytes_max)
    log.open.clear()
    for _ in range(3):
        records.admit()
        records.write_later(unit())
    with pytest.raises(Unavailable):
        records.admit()
    log.open.set()
    await records.settled(TENANT)
    records.admit()
    await records.close()


async def test_an_outage_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    log = CallLog()
    monkeypatch.setattr(RETRY, 0.01)
    records = recording(log)
    log.outages = 3
    calls = [uuid4() for _ in range(5)]
    for call in calls:
        records.write_later(unit(call))
    await records.settled(TENANT)
    assert await log.versions(calls) == dict.fromkeys(calls, 1)
    await records.close()


async def test_a_call_that_was_recorded_before_is_not_recorded_again() -> None:
    log = CallLog()
    records = recording(log)
    call = uuid4()
    await records.write(unit(call))
    records.write_later(unit(call))
    fresh = uuid4()
    records.write_later(unit(fresh))
    await records.settled(TENANT)
    assert await log.versions([call, fresh]) == {call: 1, fresh: 1}
    await records.close()


async def test_a_row_that_the_database_cannot_take_is_given_up_alone(caplog: pytest.LogCaptureFixture) -> None:
    log = CallLog()
    records = recording(log)
    bad, good = uuid4(), [uuid4() for _ in range(5)]
    for call in good[:2]:
        records.write_later(unit(call))
    records.write_later(unit(bad, data=BAD))
    for call in good[2:]:
        records.write_later(unit(call))
    await records.settled(TENANT)
    assert await log.versions([*good, bad]) == dict.fromkeys(good, 1)
    assert (records.pending, records.pending_bytes) == (0, 0)
    assert "a call could not be recorded" in caplog.text
    await records.close()


async def test_what_must_be_on_disk_first_says_that_the_database_is_away() -> None:
    log = CallLog()
    records = recording(log)
    log.away = True
    with pytest.raises(Unavailable) as refused:
        await records.write(unit())
    assert refused.value.retry_after == 1
    await records.close()


async def test_only_the_end_of_a_call_wakes_who_tells_the_world() -> None:
    waker = Waker("mcp_gateway")
    records = CallRecords(CallLog(), CallLog(), waker)  # type: ignore[arg-type]
    records.start()
    with waker.listener(facts=True) as facts, waker.listener() as everything:
        call = uuid4()
        await records.write(unit(call))
        assert everything._event.is_set()
        assert not facts._event.is_set()
        ended = NewEvent(TENANT, call, 2, "mcp.tool-call-completed.v1", b"{}", b"{}")
        await records.write_surely(CallUnit([ended], (TENANT, call, *[None] * 13), 10), 10)
        assert facts._event.is_set()
    await records.close()


async def test_what_is_written_surely_is_waited_for_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RETRY, 0.01)
    log = CallLog()
    records = recording(log)
    assert await records.write_surely(unit(), 5) == 1
    log.outages = 2
    assert await records.write_surely(unit(), 5) == 2
    log.away = True
    call = uuid4()
    assert await records.write_surely(unit(call), 0.05) is None
    assert await records.write_surely(unit(), 0) is None
    closing = asyncio.create_task(records.close())
    await asyncio.sleep(0.05)
    assert not closing.done(), "the end of the process waits for it"
    log.away = False
    await closing
    assert await log.versions([call]) == {call: 1}


async def test_what_was_recorded_before_is_not_written_surely() -> None:
    log = CallLog()
    records = recording(log)
    call = uuid4()
    await records.write(unit(call))
    with pytest.raises(ConcurrentAppend):
        await records.write_surely(unit(call), 5)
    assert await records.write_surely(unit(data=BAD), 5) is None
    await records.close()


async def test_reading_waits_for_the_database_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RETRY, 0.01)
    monkeypatch.setattr("services.mcp_gateway.adapters.records.RECORD_READ_SECONDS", 0.2)
    log = CallLog()
    records = recording(log)
    call = uuid4()
    await records.write(unit(call))
    log.outages = 3
    assert len(await records.events_of(call)) == 1
    log.away = True
    with pytest.raises(Unavailable):
        await records.events_of(call)
    await records.close()
