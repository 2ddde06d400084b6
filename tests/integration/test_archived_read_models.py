"""What lists and figures say of archived executions: the counts stay, also after a rebuild; the rows go."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import pytest_asyncio

from services.workflow.adapters.archive import ReaderWithArchive
from services.workflow.adapters.execution_lists import PostgresExecutionLists
from services.workflow.adapters.pending_waits import wait_id
from services.workflow.adapters.slots import PostgresSlots
from services.workflow.adapters.stats import PostgresStats
from services.workflow.adapters.waits import PostgresWaits
from services.workflow.app.archive_format import ExecutionLine
from services.workflow.app.archiver import TailsBehind
from services.workflow.app.children import Children
from services.workflow.app.family import child_id
from services.workflow.app.items import Accepted
from services.workflow.app.lists import ExecutionFilter
from services.workflow.app.slots import SlotTaken, SlotWanted
from services.workflow.app.starting import Request
from services.workflow.app.stats import Stats, stats_of, window_of
from services.workflow.app.waits import WaitFilter
from services.workflow.errors import ArchiveUnreadable, WaitNotFound
from shared.bus.tasks import Task, task_id_of
from shared.eventstore.event import RecordedEvent
from shared.eventstore.postgres import PostgresEventReader
from tests.conftest import Backbone
from tests.fixtures.retained import DAY, NOW, STRANGER, TENANT, House, id_at, retained, scope


@pytest_asyncio.fixture
async def house(backbone: Backbone, tmp_path: Path) -> AsyncIterator[House]:
    async with retained(backbone, tmp_path / "archive") as made:
        yield made


async def figures(house: House) -> Stats:
    window = window_of(NOW - 500 * DAY, NOW + DAY, "day", NOW)
    stats = PostgresStats(house.serving, PostgresEventReader(house.serving))
    return stats_of(window, await stats.rows(scope(), None, window))


async def totals(house: House) -> list[Any]:
    return await house.admin.fetch(
        "SELECT execution_count, success_count, failure_count, round(total_duration_ms / 60000) "
        "FROM workflow.workflow_counters ORDER BY workflow_id"
    )


async def test_a_rebuild_counts_archived_executions_once(house: House) -> None:
    workflow, other = await house.workflow(), await house.workflow()
    for days, status in ((40, "completed"), (41, "failed"), (42, "completed"), (2, "completed"), (400, None)):
        await house.execution(workflow, days_ago=days, status=status)
    # A retry takes the end before it back, also where that is in another hour, or is archived and the retry's is not.
    for days, first, status in ((45, "failed", "completed"), (46, "cancelled", "failed"), (47, "failed", "cancelled")):
        await house.execution(other, days_ago=days, retried_after=first, status=status)
    await house.execution(other, days_ago=3, retried_after="cancelled")
    await house.follow()
    live, counted = await figures(house), await totals(house)
    assert msgspec.structs.astuple(live.totals) == (9, 5, 2, 1)
    assert live.duration_ms.p50 is not None
    assert live.duration_ms.p99 == pytest.approx(181 * 60_000, rel=0.02)
    assert await house.archive() == 6
    for gone in (False, True):
        if gone:
            await house.erase_events(list(await house.archived()))
        rebuilt = await house.rebuilt()
        assert rebuilt.digest_after == rebuilt.digest_before
        seen = await figures(house)
        assert (seen.totals, seen.periods, seen.duration_ms) == (live.totals, live.periods, live.duration_ms)
        assert (seen.workflows, await totals(house)) == (live.workflows, counted)
    await house.execution(workflow, days_ago=1)
    await house.follow()
    assert (await figures(house)).totals.started == 10


async def test_lists_and_attributes_forget_archived_executions(house: House) -> None:
    workflow = await house.workflow()
    labels: dict[str, Any] = {"attributes": {"order": 7, "city": "Ulm"}, "tags": ["big", "new"]}
    await house.execution(workflow, status="failed", **labels)
    stays = await house.execution(workflow, days_ago=1, **labels)
    assert await house.archive() == 1
    lists = PostgresExecutionLists(house.serving)
    for wanted in (ExecutionFilter(), ExecutionFilter(labels=(("order", "7"),)), ExecutionFilter(trigger="http")):
        page = await lists.page(scope(), wanted, None, 0, 5)
        assert ([row["id"] for row in page.rows], page.total) == ([stays], 1)
    rows = await house.admin.fetch("SELECT DISTINCT execution_id FROM workflow.execution_attributes")
    assert [row[0] for row in rows] == [stays]


async def test_the_archive_keeps_what_an_execution_was_found_by(house: House) -> None:
    await house.execution(await house.workflow(), status="failed", attributes={"order": 7}, tags=["big"])
    await house.archive()
    [line] = gzip.decompress(house.files()[0].read_bytes()).splitlines()
    row = msgspec.json.decode(line, type=ExecutionLine).execution
    assert (row.trigger, row.error_code, row.attributes, row.tags) == ("http", "http_status", {"order": 7}, ["big"])


async def test_waits_go_with_their_execution_and_do_not_come_back(house: House) -> None:
    workflow = await house.workflow()
    gone = await house.execution(workflow, waited=True)
    stays = await house.execution(workflow, days_ago=1, waited=True)
    assert await house.archive() == 1
    waits = PostgresWaits(house.serving, PostgresEventReader(house.serving))
    for erase in (False, True):
        if erase:
            await house.erase_events([gone])
        page = await waits.page(scope(), WaitFilter(), None, 0, 5)
        assert ([row["execution_id"] for row in page.rows], page.total) == ([stays], 1)
        with pytest.raises(WaitNotFound):
            await waits.row(scope(), wait_id(gone, "w"), ("approval",))
        rebuilt = await house.rebuilt(house.waits)
        assert rebuilt.digest_after == rebuilt.digest_before


async def test_nothing_goes_before_the_waits_are_projected(house: House) -> None:
    execution = await house.execution(await house.workflow(), waited=True)
    await house.follow()
    await house.admin.execute("DELETE FROM workflow.checkpoints WHERE name = $1", house.waits.name)
    assert await house.archiver().archive_due(NOW) == 0
    assert await house.live() == {execution}
    [plan] = await house.index().planned(1)
    with pytest.raises(TailsBehind, match="pending_waits"):
        await house.archiver()._archive(plan)


async def test_a_relay_that_never_read_anything_holds_all(house: House) -> None:
    execution = await house.execution(await house.workflow())
    await house.follow()
    await house.admin.execute("DELETE FROM workflow.checkpoints WHERE name = 'relay'")
    assert await house.archiver().archive_due(NOW) == 0
    assert await house.live() == {execution}


async def test_the_checkpoint_of_a_projection_that_is_no_more_holds_nothing_up(house: House) -> None:
    await house.execution(await house.workflow())
    await house.log.save_checkpoint("counters_of_old", 1)
    async with house.admin.transaction():
        await house.admin.execute("SELECT FROM workflow.checkpoints WHERE name = 'counters_of_old' FOR UPDATE")
        assert await house.archive() == 1
    assert await house.live() == set()


async def test_a_history_is_read_wherever_it_lies(house: House) -> None:
    execution = await house.execution(await house.workflow())
    before = (await house.log.read_streams([execution]))[execution]
    await house.archive()
    await house.erase_events([execution])
    reader = ReaderWithArchive(house.reads)
    assert await reader.read_stream(scope(), execution) == before
    assert await reader.read_stream(scope(STRANGER), execution) == []
    assert await reader.read_stream(scope(), uuid4()) == []


class Ended:
    """A door behind which every child has ended."""

    async def start(self, request: Request) -> Accepted:
        return Accepted(request.execution_id, "completed", 4, 0)

    async def cancel(self, execution_id: UUID, tenant_id: UUID, reason: str, actor: str) -> Accepted:
        raise AssertionError


class StoreAway:
    """A reader whose archive does not answer now."""

    async def read_stream(self, *_: Any) -> list[RecordedEvent]:
        raise ArchiveUnreadable("The archive does not answer.", retry_after=5)


async def test_a_parent_gets_the_result_of_an_archived_child(house: House) -> None:
    workflow = await house.workflow()
    parent = await house.execution(workflow, days_ago=60, status=None)
    task_id = task_id_of(parent, "w", 1)
    child = await house.execution(workflow, days_ago=50, id_=child_id(parent, task_id))
    await house.archive()
    await house.erase_events([child])
    assert (await house.live(), await house.archived()) == ({parent}, {child})
    payload = {"workflow": str(workflow), "input": {}}
    task = Task(task_id, TENANT, parent, "w", 1, 0, 0, payload, None)
    children = Children(Ended(), ReaderWithArchive(house.reads))
    result = await children.do(task)
    assert (result.status, result.output) == ("ok", {"ok": True})
    assert (await Children(Ended(), StoreAway()).do(task)).status == "running"
    house.files()[0].unlink()
    lost = await children.do(task)
    assert (lost.status, lost.error and lost.error.code) == ("error", "archive_unreadable")


async def test_an_archived_execution_asks_for_no_slot(house: House) -> None:
    """A start that comes again, a retry: whoever runs under the key is not told to make room."""
    workflow = await house.workflow()
    execution = await house.execution(workflow, status="failed")
    running = await house.execution(workflow, days_ago=0, status=None)
    await house.archive()
    slots = PostgresSlots(house.pool)

    async def asks(id_: UUID, *, again: bool = False) -> SlotTaken:
        return await slots.take(SlotWanted(TENANT, workflow, "k", id_, 1, "cancel_oldest", 5, again))

    await house.admin.execute("DELETE FROM workflow.concurrency_slots")
    newcomer = uuid4()
    assert (await asks(newcomer)).outcome == "holding"
    for again in (False, True):
        assert await asks(execution, again=again) == SlotTaken("known", [], [])
    assert (await asks(running)).outcome == "known"
    held = await house.admin.fetch("SELECT execution_id, leaving FROM workflow.concurrency_slots")
    assert [tuple(row) for row in held] == [(newcomer, False)]


def test_a_childs_id_lies_beside_its_parents() -> None:
    parent = id_at(NOW - 3 * DAY)
    child = child_id(parent, task_id_of(parent, "w", 1))
    assert child == child_id(parent, task_id_of(parent, "w", 1))
    assert child != child_id(parent, task_id_of(parent, "w", 2))
    assert child.int >> 80 == parent.int >> 80
