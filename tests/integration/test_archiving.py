"""Ended executions go to the archive when their time is over, and nothing else does, whatever breaks on the way."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

import msgspec
import pytest
import pytest_asyncio

from services.workflow.app.archiver import Archiver, TailsBehind
from services.workflow.app.ports import ArchivedHistory, StatusRow, Transition
from services.workflow.app.states import States, state_of
from services.workflow.domain import events as e
from services.workflow.errors import ArchiveUnreadable, ExecutionNotFound
from tests.conftest import Backbone
from tests.fixtures.retained import DAY, NOW, STRANGER, TENANT, House, ms, new_events, retained, scope


@pytest_asyncio.fixture
async def house(backbone: Backbone, tmp_path: Path) -> AsyncIterator[House]:
    async with retained(backbone, tmp_path / "archive") as made:
        yield made


class Killed(BaseException):
    """The process is gone."""


class Mortal:
    """Counts the calls to what it stands before, and dies before or after one of them."""

    def __init__(self, behind: Any, life: list[int], *, after: bool) -> None:
        self._behind = behind
        self._life = life
        self._after = after

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._behind, name)

        async def call(*arguments: Any) -> Any:
            self._life[0] -= 1
            if self._life[0] == 0 and not self._after:
                raise Killed
            answer = await real(*arguments)
            if self._life[0] == 0:
                raise Killed
            return answer

        return call


async def test_what_was_archived_is_read_back_as_it_was_recorded(house: House) -> None:
    workflow = await house.workflow()
    ids = [await house.execution(workflow, status=s) for s in ("completed", "failed", "cancelled")]
    before = await house.log.read_streams(ids)
    assert await house.archive() == 3
    assert await house.live() == set()
    await house.erase_events(ids)
    for execution in ids:
        assert await house.reads.history(scope(), execution) == before[execution]
        row = await house.reads.row(scope(), execution)
        assert (row["archived"], row["version"], row["workflow_id"]) == (True, len(before[execution]), workflow)
    folded = state_of(await house.reads.history(scope(), ids[0]))
    assert (folded.archived, folded.status, folded.output) == (True, "completed", {"ok": True})


async def test_a_part_of_an_archived_history_is_that_part(house: House) -> None:
    execution = await house.execution(await house.workflow())
    await house.archive()
    await house.erase_events([execution])
    part = await house.reads.history(scope(), execution, after=1, upto=3)
    assert [event.version for event in part] == [2, 3]
    assert [event.version for event in await house.reads.history(scope(), execution, limit=1)] == [1]
    assert await house.reads.history(scope(), execution, after=4) == []


async def test_events_that_are_still_in_the_log_are_read_from_there_and_said_to_be_archived(house: House) -> None:
    execution = await house.execution(await house.workflow(), days_ago=20)
    assert await house.archive(10) == 1
    assert execution in await house.logged()
    house.files()[0].unlink()
    assert isinstance(await house.reads.history(scope(), execution), ArchivedHistory)


async def test_the_object_is_compressed_json_lines(house: House) -> None:
    workflow = await house.workflow()
    ids = sorted([await house.execution(workflow, days_ago=40), await house.execution(workflow, days_ago=40)])
    await house.archive()
    [file] = house.files()
    ended = NOW - 40 * DAY
    assert file.relative_to(house.folder).parts[:-1] == (str(TENANT), *f"{ended:%Y/%m/%d}".split("/"))
    lines = [msgspec.json.decode(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    assert [line["execution"]["id"] for line in lines] == [str(i) for i in ids]
    assert [event["version"] for event in lines[0]["events"]] == [1, 2, 3, 4]
    assert lines[0]["events"][0]["data"]["input"] == {"text": "naïve ☃"}


async def test_what_runs_or_ended_lately_stays(house: House) -> None:
    workflow = await house.workflow()
    running = await house.execution(workflow, days_ago=400, status=None)
    young = await house.execution(workflow, days_ago=29)
    old = await house.execution(workflow, days_ago=32)
    assert await house.archive() == 1
    assert await house.live() == {running, young}
    assert await house.archived() == {old}
    assert not isinstance(await house.reads.history(scope(), running), ArchivedHistory)


async def test_without_any_retention_nothing_goes(house: House) -> None:
    execution = await house.execution(await house.workflow(), days_ago=4000)
    assert await house.archive(None) == 0
    assert await house.live() == {execution}


async def test_a_workflows_own_goes_before_the_tenants_and_that_before_the_platforms(house: House) -> None:
    plain, wishes, ruled = await house.workflow(), await house.workflow(retention_days=60), await house.workflow()
    await house.retention.set(scope(), None, 20)
    await house.retention.set(scope(), ruled, 100)
    elsewhere = await house.workflow(STRANGER)
    ended = {}
    for workflow, days in ((plain, 15), (plain, 25), (wishes, 50), (wishes, 70), (ruled, 90), (ruled, 110)):
        ended[workflow, days] = await house.execution(workflow, days_ago=days)
    for days in (25, 35):
        ended[elsewhere, days] = await house.execution(elsewhere, days_ago=days, tenant=STRANGER)
    await house.archive(30)
    assert await house.archived() == {
        ended[plain, 25], ended[wishes, 70], ended[ruled, 110], ended[elsewhere, 35]
    }  # fmt: skip
    await house.retention.set(scope(), ruled, None)
    await house.archive(30)
    assert ended[ruled, 90] in await house.archived()


async def test_another_tenant_finds_nothing(house: House) -> None:
    execution = await house.execution(await house.workflow())
    await house.archive()
    for _ in range(2):
        with pytest.raises(ExecutionNotFound):
            await house.reads.row(scope(STRANGER), execution)
        with pytest.raises(ExecutionNotFound):
            await house.reads.history(scope(STRANGER), execution)
        await house.erase_events([execution])
    with pytest.raises(ExecutionNotFound):
        await house.reads.history(scope(), uuid4())


async def test_tenants_share_no_object(house: House) -> None:
    await house.execution(await house.workflow())
    await house.execution(await house.workflow(STRANGER), tenant=STRANGER)
    assert await house.archive() == 2
    assert {file.relative_to(house.folder).parts[0] for file in house.files()} == {str(TENANT), str(STRANGER)}


@pytest.mark.parametrize("damage", ["missing", "cut", "flipped", "another's"])
async def test_a_damaged_object_is_a_typed_error(house: House, damage: str) -> None:
    workflow = await house.workflow()
    execution = await house.execution(workflow)
    other = await house.execution(workflow, days_ago=50)
    await house.archive()
    await house.erase_events([execution])
    [own] = [file for file in house.files() if str(execution).encode() in gzip.decompress(file.read_bytes())]
    [foreign] = [file for file in house.files() if str(other).encode() in gzip.decompress(file.read_bytes())]
    raw = own.read_bytes()
    match damage:
        case "missing":
            own.unlink()
        case "cut":
            own.write_bytes(raw[: len(raw) // 2])
        case "flipped":
            own.write_bytes(raw[:40] + bytes([raw[40] ^ 0xFF]) + raw[41:])
        case _:
            own.write_bytes(foreign.read_bytes())
    with pytest.raises(ArchiveUnreadable):
        await house.reads.history(scope(), execution)
    assert (await house.reads.row(scope(), execution))["archived"]


@pytest.mark.parametrize("after", [False, True])
async def test_killed_at_any_point_nothing_is_lost_and_nothing_twice(house: House, *, after: bool) -> None:
    workflow = await house.workflow()
    rounds = 0
    while True:
        rounds += 1
        ids = {await house.execution(workflow, days_ago=40 + n) for n in (0, 0, 1)}
        before = await house.log.read_streams(list(ids))
        await house.follow()
        life = [rounds]
        mortal = Archiver(
            Mortal(house.index(), life, after=after), Mortal(house.objects, life, after=after), house.metrics
        )
        try:
            await mortal.archive_due(NOW)
            died = False
        except Killed:
            died = True
        archived = await house.archived()
        assert archived.isdisjoint(await house.live())
        assert ids <= archived | await house.live()
        await house.archiver().archive_due(NOW)
        assert ids <= await house.archived()
        assert await house.live() == set()
        await house.erase_events(list(ids))
        for execution in ids:
            assert await house.reads.history(scope(), execution) == before[execution]
        keys = {row[0] for row in await house.admin.fetch("SELECT key FROM workflow.archive_objects")}
        assert {str(file.relative_to(house.folder)) for file in house.files()} == keys
        assert await house.admin.fetchval("SELECT sum(execution_count) FROM workflow.archived_counts") == 3 * rounds
        if not died:
            break
    assert rounds > 12


async def test_what_is_not_read_back_as_written_is_not_deleted(house: House) -> None:
    execution = await house.execution(await house.workflow())
    await house.follow()

    class Rotten:
        async def put(self, key: str, data: bytes) -> None:
            await house.objects.put(key, data[:-1])

        def __getattr__(self, name: str) -> Any:
            return getattr(house.objects, name)

    assert await Archiver(house.index(), Rotten(), house.metrics).archive_due(NOW) == 0
    assert await house.live() == {execution}
    assert await house.archive() == 1


async def test_a_store_that_is_away_keeps_everything_where_it_is(house: House) -> None:
    execution = await house.execution(await house.workflow())
    await house.follow()
    house.folder.rmdir()
    house.folder.write_text("no folder")
    assert await house.archiver().archive_due(NOW) == 0
    assert await house.live() == {execution}
    house.folder.unlink()
    house.folder.mkdir()
    assert await house.archive() == 1
    assert len(house.files()) == 1


async def test_nothing_goes_before_every_tail_has_read_it(house: House) -> None:
    execution = await house.execution(await house.workflow())
    await house.follow()
    await house.log.save_checkpoint("relay", 0)
    assert await house.archiver().archive_due(NOW) == 0
    assert await house.live() == {execution}
    [plan] = await house.index().planned(10)
    with pytest.raises(TailsBehind, match="relay"):
        await house.archiver()._archive(plan)
    assert await house.archive() == 1


async def retried(house: House, workflow: UUID, execution: UUID) -> list[Transition]:
    """Return what a retry would write: another event, and the row as it runs again."""
    again = e.StepScheduled(ms(NOW), "a", 2, {}, ms(NOW) + 1000)
    row = StatusRow(TENANT, execution, workflow, 1, "running", NOW - 40 * DAY, None, 4)
    return [Transition(new_events(TENANT, execution, 4, again), row)]


async def test_one_that_is_retried_while_it_is_written_stays_whole(house: House) -> None:
    workflow = await house.workflow()
    lucky, other = [await house.execution(workflow, status="failed") for _ in range(2)]
    await house.follow()

    class Slow:
        async def put(self, key: str, data: bytes) -> None:
            _, lost = await house.transitions.record(await retried(house, workflow, lucky))
            assert not lost
            await house.objects.put(key, data)

        def __getattr__(self, name: str) -> Any:
            return getattr(house.objects, name)

    assert await Archiver(house.index(), Slow(), house.metrics).archive_due(NOW) == 1
    assert await house.live() == {lucky}
    assert await house.archived() == {other}
    assert len(await house.reads.history(scope(), lucky)) == 4


@pytest.mark.parametrize("gone", [False, True])
async def test_an_archived_execution_takes_no_more_events(house: House, *, gone: bool) -> None:
    workflow = await house.workflow()
    execution = await house.execution(workflow, status="failed")
    bystander = await house.execution(workflow, status="failed", days_ago=1)
    await house.archive()
    if gone:
        await house.erase_events([execution])
    begin = e.ExecutionStarted(ms(NOW), workflow, 1, {}, {}, ms(NOW) + 1000)
    row = StatusRow(TENANT, execution, workflow, 1, "running", NOW, None, 1)
    start = Transition(new_events(TENANT, execution, 1, begin), row)
    [retry] = await retried(house, workflow, execution)
    [good] = await retried(house, workflow, bystander)
    _, lost = await house.transitions.record([start, good])
    assert lost == [start]
    _, lost = await house.transitions.record([retry])
    assert lost == [retry]
    assert execution not in await house.live()
    assert len(await house.reads.history(scope(), execution)) == 3


async def test_the_engine_sees_an_archived_execution_as_ended(house: House) -> None:
    execution = await house.execution(await house.workflow())
    await house.archive()
    for _ in range(2):
        states = States(house.transitions, None)  # type: ignore[arg-type]
        [state] = (await states.load([execution])).values()
        assert state is not None
        assert (state.archived, state.ended, state.status, state.version) == (True, True, "completed", 4)
        await house.erase_events([execution])


async def test_derived_ids_are_deleted_with_their_row(house: House) -> None:
    execution = await house.execution(await house.workflow(), id_=uuid5(UUID(int=1), "event"))
    running = await house.execution(await house.workflow(), id_=uuid5(UUID(int=1), "other"), status=None)
    before = (await house.log.read_streams([execution]))[execution]
    await house.archive()
    assert await house.logged() == {running}
    assert await house.reads.history(scope(), execution) == before


async def test_the_figures_say_what_is_due_and_what_was_archived(house: House) -> None:
    workflow = await house.workflow()
    await house.execution(workflow)
    young = await house.execution(workflow, days_ago=3)
    midnight = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    before = await house.retention.figures(scope(), midnight)
    assert (before["due"], before["executions"]) == (1, 0)
    await house.archive()
    after = await house.retention.figures(scope(), midnight)
    assert (after["due"], after["executions"], after["objects"]) == (0, 1, 1)
    assert after["bytes"] == house.files()[0].stat().st_size
    assert after["oldest_ended_at"] == (await house.reads.row(scope(), young))["completed_at"]
    strange = await house.retention.figures(scope(STRANGER), midnight)
    assert (strange["due"], strange["executions"], strange["oldest_ended_at"]) == (0, 0, None)


async def test_the_worker_deletes_no_event_that_is_not_archived(house: House) -> None:
    execution = await house.execution(await house.workflow(), id_=uuid5(UUID(int=1), "event"))
    timed = await house.execution(await house.workflow(), days_ago=5)
    await house.pool.execute("SELECT workflow.delete_unplaced_events($1)", [execution, timed])
    await house.pool.execute("SELECT workflow.purge_period($1, $2, 10)", UUID(int=0), UUID(int=2**128 - 1))
    assert await house.logged() == {execution, timed}
