"""Counters by hour and day, durations, and what executions wait for: as the events say, however they were read."""

import datetime as dt
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import pytest_asyncio

from services.workflow.adapters import waits
from services.workflow.adapters.pending_waits import wait_id
from services.workflow.app.ports import StatusRow
from services.workflow.app.stats import Stats, Window, stats_of
from services.workflow.app.waits import APPROVAL, KINDS, WaitFilter, approval_view
from services.workflow.domain.events import ExecutionRetried, StepWaited, StepWaiting
from services.workflow.errors import WaitNotFound
from shared.limits import PROJECTION_BATCH
from shared.tail import projection as tail
from tests.conftest import Backbone
from tests.fixtures.executions import BEGAN, Kept, PendingWaits, WorkflowCounters, kept_executions, scope_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOUR = dt.timedelta(hours=1)
DAY = BEGAN.replace(hour=0)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kept(backbone: Backbone) -> AsyncIterator[Kept]:
    async with kept_executions(backbone) as kept:
        yield kept


async def stats(kept: Kept, tenant: UUID, workflow: UUID | None = None, period: Any = "hour") -> Stats:
    window = Window(period, DAY, DAY + 48 * HOUR)
    return stats_of(window, await kept.stats.rows(scope_of(tenant), workflow, window))


async def test_each_is_counted_when_it_happened(kept: Kept) -> None:
    tenant, first, second = uuid4(), uuid4(), uuid4()
    for took in range(1, 101):
        await kept.execution(tenant, first, took=dt.timedelta(milliseconds=took * 10))
    await kept.execution(tenant, second, "failed", started=11 * HOUR, took=2 * HOUR)
    await kept.execution(tenant, second, "cancelled", started=13 * HOUR)
    await kept.execution(tenant, second, "running", started=13 * HOUR)
    rebuilt = await kept.project(WorkflowCounters())
    assert rebuilt.digest_before == rebuilt.digest_after
    seen = await stats(kept, tenant)
    assert msgspec.structs.astuple(seen.totals) == (103, 100, 1, 1)
    assert [(p.starts_at - BEGAN, *msgspec.structs.astuple(p.counts)) for p in seen.periods] == [
        (0 * HOUR, 100, 100, 0, 0),
        (11 * HOUR, 1, 0, 0, 0),
        (13 * HOUR, 2, 0, 1, 1),
    ]
    assert seen.duration_ms.p50 == pytest.approx(500, rel=0.02)
    assert seen.duration_ms.p95 == pytest.approx(950, rel=0.02)
    assert seen.duration_ms.p99 == pytest.approx(990, rel=0.02)
    assert [w.workflow_id for w in seen.workflows] == [first, second]
    by_day = await stats(kept, tenant, period="day")
    assert (by_day.totals, by_day.duration_ms) == (seen.totals, seen.duration_ms)
    assert [p.starts_at for p in by_day.periods] == [DAY, DAY + 24 * HOUR]
    only = await stats(kept, tenant, second)
    assert msgspec.structs.astuple(only.totals) == (3, 0, 1, 1)
    assert (only.duration_ms.p50, {o.status: o.executions for o in only.open}["running"]) == (None, 1)
    nobodys = await stats(kept, uuid4())
    assert (nobodys.totals.started, nobodys.periods, nobodys.workflows) == (0, [], [])
    assert all(o.executions == 0 and o.exact for o in nobodys.open)


async def test_a_retry_takes_the_failure_back_from_where_it_was_counted(kept: Kept) -> None:
    tenant, workflow = uuid4(), uuid4()
    execution = await kept.execution(tenant, workflow, "failed", started=HOUR, took=HOUR)
    began = BEGAN + HOUR
    row = StatusRow(tenant, execution, workflow, 1, "running", began, None, 3)
    data = msgspec.json.encode({"at": round((BEGAN + 5 * HOUR).timestamp() * 1000), "deadline": 0})
    await kept.write_raw(row, ExecutionRetried.TYPE, data)
    await kept.end(row, "completed", BEGAN + 6 * HOUR)
    rebuilt = await kept.project(WorkflowCounters())
    assert rebuilt.digest_before == rebuilt.digest_after
    seen = await stats(kept, tenant)
    assert msgspec.structs.astuple(seen.totals) == (1, 1, 0, 0)
    assert {p.starts_at - BEGAN: p.counts.failed for p in seen.periods} == {HOUR: 0, 2 * HOUR: 0, 6 * HOUR: 0}


async def _waiting(kept: Kept, row: StatusRow, path: str, **more: Any) -> UUID:
    at = round(row.started_at.timestamp() * 1000)
    body = {"at": at, "path": path, "kind": "approval", "name": path, "deadline": at + 1000, **more}
    await kept.write_raw(row, StepWaiting.TYPE, msgspec.json.encode(body))
    return wait_id(row.id, path)


async def _running(kept: Kept, tenant: UUID, workflow: UUID, minutes: int = 0) -> StatusRow:
    began = BEGAN + dt.timedelta(minutes=minutes)
    execution = await kept.execution(tenant, workflow, "running", started=began - BEGAN)
    return StatusRow(tenant, execution, workflow, 1, "waiting", began, None, 2)


async def _over(kept: Kept, row: StatusRow, path: str, outcome: str, **more: Any) -> StatusRow:
    row = msgspec.structs.replace(row, version=row.version + 1)
    at = round(row.started_at.timestamp() * 1000) + 500
    await kept.write_raw(
        row, StepWaited.TYPE, msgspec.json.encode({"at": at, "path": path, "outcome": outcome, **more})
    )
    return row


async def test_waits_are_pending_until_they_end(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant, first, second = uuid4(), uuid4(), uuid4()
    asked, decided, given_up = [await _running(kept, tenant, first, minute) for minute in range(3)]
    elsewhere, heard = [await _running(kept, tenant, second, minute) for minute in (3, 4)]
    details = {"assignees": ["ann", "bob"], "title": "Pay?", "message": "100 €", "form_schema": {"type": "object"}}
    pending = await _waiting(kept, asked, "pay", details=details)
    over = await _waiting(kept, decided, "pay", details={"assignees": ["ann"]})
    await _over(kept, decided, "pay", "decided", by="user:ann", data={"approved": True})
    gone = await _waiting(kept, given_up, "pay", details={})
    await kept.end(given_up, "cancelled", BEGAN + HOUR)
    other = await _waiting(kept, elsewhere, "sign", details={"assignees": ["bob"]})
    event = await _waiting(kept, heard, "paid", kind="event")
    rebuilt = await kept.project(PendingWaits())
    assert rebuilt.digest_before == rebuilt.digest_after

    async def of(**wanted: Any) -> list[UUID]:
        ids: list[UUID] = []
        place = None
        while True:
            listed = await kept.waits.page(scope_of(tenant), WaitFilter(**wanted), place, 0, 1)
            ids += [row["id"] for row in listed.rows]
            place = listed.following
            if place is None:
                return ids

    approvals = {"kinds": (APPROVAL,)}
    for bound in (10_000, 2):  # all in one look, and a few at a time
        monkeypatch.setattr(waits, "LIST_SCAN_ROWS", bound)
        assert await of(status="pending") == [event, other, pending]
        assert await of(status="pending", **approvals) == [other, pending]
        assert await of(status="pending", assignee="ann", **approvals) == [pending]
        assert await of(status="pending", assignee="bob") == [other, pending]
        assert await of(status="pending", workflow_id=second) == [event, other]
        assert await of(status="decided") == [over]
        assert await of(status="cancelled") == [gone]
        assert await of(**approvals) == [other, gone, over, pending]
    shown = approval_view(await kept.waits.row(scope_of(tenant), pending, (APPROVAL,)))
    assert (shown.status, shown.assignees, shown.title, shown.message) == ("pending", ["ann", "bob"], "Pay?", "100 €")
    shown = approval_view(await kept.waits.row(scope_of(tenant), over, (APPROVAL,)))
    assert (shown.status, shown.decided_by, shown.decision) == ("decided", "user:ann", {"approved": True})
    for stranger, wanted in ((uuid4(), pending), (tenant, event), (tenant, uuid4())):
        with pytest.raises(WaitNotFound):
            await kept.waits.row(scope_of(stranger), wanted, (APPROVAL,))
    assert (await kept.waits.page(scope_of(uuid4()), WaitFilter(), None, 0, 5)).rows == []
    assert set(KINDS) == {"approval", "event"}


async def test_texts_that_postgres_refuses_do_not_stop_the_model(kept: Kept) -> None:
    tenant = uuid4()
    row = await _running(kept, tenant, uuid4())
    await _waiting(kept, row, "pay", name="a\0b", details={"assignees": ["an\0n"]})
    row = await _over(kept, row, "pay", "decided", by="user:\0", data={"text": "\0"})
    await kept.project(PendingWaits())
    [found] = (await kept.waits.page(scope_of(tenant), WaitFilter(), None, 0, 5)).rows
    assert (found["name"], found["assignees"], found["ended_by"]) == ("a\ufffdb", ["an\ufffdn"], "user:\ufffd")


async def test_a_step_that_waits_again_is_pending_again(kept: Kept) -> None:
    tenant = uuid4()
    row = await _running(kept, tenant, uuid4())
    await _waiting(kept, row, "pay", details={"assignees": ["ann"]})
    row = await _over(kept, row, "pay", "timed_out")
    row = msgspec.structs.replace(row, version=row.version + 1)
    again = await _waiting(kept, row, "pay", details={"assignees": ["bob"]})
    live = await kept.project(PendingWaits())
    # One event at a time and all at once come to the same.
    assert PROJECTION_BATCH == tail.PROJECTION_BATCH > 3
    assert live.digest_before == live.digest_after
    [found] = (await kept.waits.page(scope_of(tenant), WaitFilter(status="pending"), None, 0, 5)).rows
    assert (found["id"], found["assignees"], found["answer"]) == (again, ["bob"], None)
