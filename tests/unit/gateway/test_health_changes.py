"""Changes of health on disk: in their order, once, after an outage too, and never without bound."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from services.mcp_gateway.adapters.health_changes import HealthChanges
from services.mcp_gateway.app.health import HealthChange
from services.mcp_gateway.app.sightings import Listed, Sighting
from shared.scope import TenantScope
from shared.tail.waker import Waker
from tests.unit.gateway.call_log import CallLog
from tests.unit.gateway.call_path import NOW, TENANT

SERVER, STREAM = uuid4(), uuid4()


def change(version: int, status: Literal["healthy", "unhealthy"], stream: UUID = STREAM) -> HealthChange:
    before: Literal["healthy", "unhealthy"] = "healthy" if status == "unhealthy" else "unhealthy"
    return HealthChange(TENANT, SERVER, status, before, "server_died", NOW, stream, version)


class Written:
    """A log, and the rows that show health. Both are away as often as told."""

    def __init__(self) -> None:
        self.log = CallLog()
        self.rows: list[tuple[UUID, Sighting]] = []
        self.refusals: list[Exception] = []
        self.observed: list[str] = []
        self.changes = HealthChanges(self.log, self, Waker("mcp_gateway"), self.observed.append)

    async def save_health(self, _: TenantScope, server_id: UUID, seen: Sighting) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.rows.append((server_id, seen))

    async def save_offer(self, _: TenantScope, __: UUID, ___: Listed) -> None: ...

    @property
    def statuses(self) -> list[str]:
        return [seen.health_status for _, seen in self.rows]

    async def rows_are(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.rows) < count:
                await asyncio.sleep(0)


@asynccontextmanager
async def running(written: Written) -> AsyncIterator[None]:
    task = asyncio.create_task(written.changes.run())
    yield
    task.cancel()
    await asyncio.wait([task])


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.mcp_gateway.adapters.health_changes.RECORD_RETRY_SECONDS", 0.001)


async def test_changes_are_written_in_their_order() -> None:
    written = Written()
    async with running(written):
        written.changes.announce(change(1, "unhealthy"))
        written.changes.announce(change(2, "healthy"))
        await written.rows_are(2)
    assert written.statuses == written.observed == ["unhealthy", "healthy"]
    assert written.rows[0][1].error_message == "The last failure was server_died."
    events = (await written.log.read_streams([STREAM]))[STREAM]
    assert [(event.version, event.type) for event in events] == [
        (1, "mcp.server-health-changed.v1"),
        (2, "mcp.server-health-changed.v1"),
    ]
    first = msgspec.json.decode(events[0].data)
    assert (first["server_id"], first["health_status"], first["before"]) == (str(SERVER), "unhealthy", "healthy")
    assert dt.datetime.fromisoformat(first["seen_at"]) == NOW


async def test_an_outage_is_waited_out_and_nothing_is_written_twice() -> None:
    written = Written()
    written.refusals = [ConnectionRefusedError(), TimeoutError(), ConnectionResetError()]
    async with running(written):
        written.changes.announce(change(1, "unhealthy"))
        await written.rows_are(1)
    assert len((await written.log.read_streams([STREAM]))[STREAM]) == 1


async def test_a_server_that_was_removed_and_a_fault_hold_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    written = Written()
    written.refusals = [asyncpg.ForeignKeyViolationError(), KeyError("a bug")]
    async with running(written):
        for version in (1, 2, 3):
            written.changes.announce(change(version, "unhealthy"))
        await written.rows_are(1)
    assert len((await written.log.read_streams([STREAM]))[STREAM]) == 3
    assert "could not be written" in caplog.text


async def test_what_waits_is_bounded_and_the_newest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.mcp_gateway.adapters.health_changes.HEALTH_CHANGES_WAITING_MAX", 3)
    written = Written()
    for _ in range(10):
        written.changes.announce(change(1, "unhealthy", uuid4()))
    written.changes.announce(change(1, "healthy", uuid4()))
    async with running(written):
        await written.rows_are(3)
    assert written.statuses == ["unhealthy", "unhealthy", "healthy"]
