"""The log in periods: made ahead of time, dropped when archived, and never in the way of the engine."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

import asyncpg
import pytest
import pytest_asyncio

from services.workflow import limits
from services.workflow.adapters.event_periods import days_of_period
from services.workflow.app.ports import StatusRow, Transition
from services.workflow.domain import events as e
from shared.eventstore.errors import ConcurrentAppend
from shared.eventstore.event import NewEvent
from shared.ids import derived_id, derived_id_at
from tests.conftest import Backbone
from tests.fixtures.retained import (
    DAY,
    NOW,
    STRANGER,
    TENANT,
    TODAY,
    House,
    id_at,
    ms,
    new_events,
    retained,
    scope,
    until,
)


@pytest_asyncio.fixture
async def house(backbone: Backbone, tmp_path: Path) -> AsyncIterator[House]:
    async with retained(backbone, tmp_path / "archive") as made:
        yield made


async def period(house: House, first: int, last: int, most_rows: int = 0, by: Any = None) -> str:
    """Make the period of the days from `first` to `last` ago; return its name."""
    made = await (by or house.pool).fetchval(
        "SELECT workflow.make_event_period($1, $2, $3)", TODAY - first * DAY, TODAY - last * DAY, most_rows
    )
    assert made
    return f"events_p{TODAY - first * DAY:%Y%m%d}"


async def parts(house: House) -> list[str]:
    return [found.part for found in await house.periods().periods()]


async def part_of(house: House, execution: UUID) -> set[str]:
    rows = await house.admin.fetch(
        "SELECT DISTINCT tableoid::regclass::text FROM workflow.events WHERE stream_id = $1", execution
    )
    return {row[0].removeprefix("workflow.") for row in rows}


async def add(house: House, execution: UUID, version: int) -> None:
    event = e.StepScheduled(ms(NOW), "a", version, {}, ms(NOW) + 1000)
    await house.log.append(new_events(TENANT, execution, version, event))


@pytest.mark.parametrize(("shortest", "days"), [(None, 91), (1, 1), (7, 1), (30, 7), (365, 28), (3650, 28)])
def test_periods_are_few_and_no_wider_than_a_retention_needs(shortest: int | None, days: int) -> None:
    assert days_of_period(shortest) == days


async def test_periods_are_made_ahead_and_once(house: House) -> None:
    await house.periods(8).tend(NOW)
    made = await house.periods().periods()
    assert made[-1].ends >= NOW + limits.PERIODS_AHEAD_DAYS * DAY
    assert [a.to_id for a in made[:-1]] == [b.from_id for b in made[1:]]
    assert house.metrics.periods_ahead._value.get() >= 3 * 86400
    await house.periods(8).tend(NOW)
    assert await house.periods().periods() == made


async def test_where_no_period_was_made_the_engine_goes_on(house: House) -> None:
    workflow = await house.workflow()
    await house.execution(workflow, days_ago=until(2.5))
    late = await house.execution(workflow, days_ago=until(3.5))
    assert await part_of(house, late) == {"events_default"}
    assert len(await house.reads.history(scope(), late)) == 4


async def test_what_the_catch_all_has_of_a_period_moves_into_it(house: House) -> None:
    workflow = await house.workflow()
    early = await house.execution(workflow, days_ago=900)
    late = [await house.execution(workflow, days_ago=until(days)) for days in (2.1, 2.5, 3.5)]
    before = await house.log.read_streams(late)
    await house.periods(4).tend(NOW)
    assert house.metrics.periods_ahead._value.get() >= 3 * 86400
    made = await house.periods().periods()
    assert [a.to_id for a in made[:-1]] == [b.from_id for b in made[1:]]
    for execution in late:
        assert await part_of(house, execution) == {p.part for p in made if p.from_id <= execution < p.to_id}
    assert await part_of(house, early) == {"events_default"}
    assert await house.log.read_streams(late) == before
    with pytest.raises(ConcurrentAppend):
        await add(house, late[0], 4)
    await add(house, late[0], 5)


async def test_more_than_may_move_puts_a_period_off_by_a_day(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PERIOD_ROWS_MOVED_IN", 3)
    late = await house.execution(await house.workflow(), days_ago=until(2.5))
    await house.periods(4).tend(NOW)
    assert house.metrics.periods_ahead._value.get() >= 3 * 86400
    assert not any(p.from_id <= late < p.to_id for p in await house.periods().periods())
    assert await part_of(house, late) == {"events_default"}


async def test_whoever_reads_while_events_move_finds_each(house: House) -> None:
    late = await house.execution(await house.workflow(), days_ago=until(2.5))
    async with house.pool.acquire() as reader:
        pid = await reader.fetchval("SELECT pg_backend_pid()")
        async with house.admin.transaction():
            made = await period(house, -2, -3, most_rows=4, by=house.admin)
            reading = asyncio.create_task(reader.fetchval("SELECT count(*) FROM events"))
            while not await house.pool.fetchval("SELECT cardinality(pg_blocking_pids($1))", pid):
                await asyncio.sleep(0.01)
        assert await reading == 4
    assert await part_of(house, late) == {made}


async def test_ids_that_a_tenant_can_choose_lie_in_no_period(house: House) -> None:
    for n in range(300):
        await add(house, derived_id("event-trigger", TENANT, n), 1)
    rows = await house.admin.fetch("SELECT DISTINCT tableoid::regclass::text FROM workflow.events")
    assert [row[0] for row in rows] == ["workflow.events_other"]


@pytest.mark.parametrize("place", ["period", "other", "default"])
async def test_a_version_is_given_once_wherever_the_stream_lies(house: House, place: str) -> None:
    stream = {"period": id_at(NOW), "other": uuid4(), "default": id_at(NOW - 900 * DAY)}[place]
    while place == "other" and stream.int >> 120 < 2:
        stream = uuid4()
    await add(house, stream, 1)
    assert all(name.startswith(f"events_{place[:1]}") for name in await part_of(house, stream))
    with pytest.raises(ConcurrentAppend):
        await add(house, stream, 1)


async def test_a_period_goes_when_all_that_it_holds_is_archived(house: House) -> None:
    old, kept = await period(house, 50, 43), await period(house, 43, 36)
    workflow = await house.workflow()
    gone = [await house.execution(workflow, days_ago=44 + n) for n in range(3)]
    stays = await house.execution(workflow, days_ago=40, status=None)
    before = (await house.log.read_streams(gone))[gone[0]]
    await house.archive()
    assert await part_of(house, gone[0]) == {old}
    await house.periods().tend(NOW)
    assert old not in await parts(house)
    assert kept in await parts(house)
    assert await house.logged() == {stays}
    assert await house.reads.history(scope(), gone[0]) == before
    assert house.metrics.periods_dropped._value.get() == 1


async def test_what_still_runs_moves_out_of_the_period_first(house: House) -> None:
    old = await period(house, 50, 43)
    workflow = await house.workflow()
    for _ in range(limits.PERIOD_SURVIVING_SHARE):
        await house.execution(workflow, days_ago=45)
    runs = await house.execution(workflow, days_ago=45, status=None)
    definition = id_at(NOW - 45 * DAY)  # a stream that no execution has
    await house.log.append([NewEvent(TENANT, definition, 1, "workflow.workflow-defined.v1", b"{}", b"{}")])
    await house.archive()
    positions = [event.position for event in (await house.log.read_streams([runs]))[runs]]
    last = await house.log.last_position()
    await house.periods().tend(NOW)
    assert old not in await parts(house)
    assert await house.logged() == {runs, definition}
    assert await part_of(house, runs) == {"events_default"}
    assert [event.position for event in (await house.log.read_streams([runs]))[runs]] == positions
    with pytest.raises(ConcurrentAppend):
        await add(house, runs, 2)
    await add(house, runs, 3)
    assert await house.log.last_position() > last


async def test_a_period_that_many_need_stays_and_loses_only_what_is_archived(house: House) -> None:
    old = await period(house, 50, 43)
    workflow, long = await house.workflow(), await house.workflow(retention_days=3650)
    gone = [await house.execution(workflow, days_ago=45) for _ in range(3)]
    kept = {await house.execution(long, days_ago=45) for _ in range(3)}
    await house.archive()
    await house.periods().tend(NOW)
    assert old in await parts(house)
    assert await house.logged() == kept
    assert len(await house.reads.history(scope(), gone[0])) == 4


async def test_without_retention_no_period_with_executions_goes(house: House) -> None:
    old = await period(house, 50, 43)
    execution = await house.execution(await house.workflow(), days_ago=45)
    await house.periods(None).tend(NOW)
    assert old in await parts(house)
    assert await part_of(house, execution) == {old}


async def test_what_came_after_the_look_moves_too(house: House) -> None:
    old = await period(house, 50, 43)
    workflow = await house.workflow()
    await house.execution(workflow, days_ago=45)
    await house.archive()
    upto = await house.log.last_position()
    survivors = await house.pool.fetchval("SELECT workflow.event_survivors($1, 10)", old)
    assert survivors == []
    late = await house.execution(workflow, days_ago=45, status=None)
    moved = await house.pool.fetchval("SELECT workflow.drop_event_period($1, $2, $3, 100)", old, survivors, upto)
    assert moved == 1
    assert await house.logged() == {late}


async def test_more_than_may_move_keeps_the_period(house: House) -> None:
    old = await period(house, 50, 43)
    runs = await house.execution(await house.workflow(), days_ago=45, status=None)
    answer = await house.pool.fetchval("SELECT workflow.drop_event_period($1, $2, 0, 1)", old, [runs])
    assert answer is None
    assert await part_of(house, runs) == {old}


@pytest.mark.parametrize("part", ["events_other", "events_default", "executions", "events_p20200101"])
async def test_only_a_period_that_is_over_is_dropped(house: House, part: str) -> None:
    assert await house.pool.fetchval("SELECT workflow.drop_event_period($1, '{}', 0, 100)", part) is None
    [now] = await parts(house)
    assert await house.pool.fetchval("SELECT workflow.drop_event_period($1, '{}', 0, 100)", now) is None
    assert (
        await house.admin.fetchval("SELECT count(*) FROM pg_inherits WHERE inhparent = 'workflow.events'::regclass")
        == 3
    )


async def test_the_engine_writes_on_while_periods_come_and_go(house: House) -> None:
    for first in range(60, 45, -3):
        await period(house, first, first - 3)
    workflow = await house.workflow()
    for days in range(46, 60):
        await house.execution(workflow, days_ago=days)
    await house.archive()
    stop = asyncio.Event()
    written: list[UUID] = []

    async def engine() -> None:
        while not stop.is_set():
            execution = id_at(NOW)
            begin = e.ExecutionStarted(ms(NOW), workflow, 1, {}, {}, ms(NOW) + 1000)
            row = StatusRow(TENANT, execution, workflow, 1, "running", NOW, None, 1)
            _, lost = await house.transitions.record([Transition(new_events(TENANT, execution, 1, begin), row)])
            assert not lost
            written.append(execution)

    writing = asyncio.create_task(engine())
    while not written:
        await asyncio.sleep(0)
    await house.periods(1).tend(NOW)
    stop.set()
    await writing
    assert len(await parts(house)) < 12
    assert house.metrics.periods_dropped._value.get() >= 1
    page = await house.log.read_page(0, 10**9)
    assert {event.stream_id for event in page.events} == await house.logged()
    assert set(written) <= await house.logged()
    assert [event.position for event in page.events] == sorted(event.position for event in page.events)


async def test_a_busy_log_puts_a_period_off(house: House) -> None:
    async with house.pool.acquire() as connection, connection.transaction():
        await connection.fetch("SELECT * FROM events")  # holds a lock of each partition, the catch-all included
        await house.periods(4).tend(NOW)
        assert len(await parts(house)) == 1
    await house.periods(4).tend(NOW)
    assert house.metrics.periods_ahead._value.get() >= 3 * 86400


@pytest.mark.parametrize("statement", ["DELETE FROM events", "UPDATE events SET data = ''", "DROP TABLE events_other"])
async def test_the_worker_still_changes_no_event(house: House, statement: str) -> None:
    await add(house, uuid5(UUID(int=1), "x"), 1)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await house.pool.execute(statement)


async def test_a_period_has_the_policies_of_the_log(house: House) -> None:
    made = await period(house, 50, 43)
    execution = await house.execution(await house.workflow(), days_ago=45)
    assert await part_of(house, execution) == {made}
    for part in (made, "events_other", "events_default"):
        async with house.serving.connection(scope()) as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT * FROM {part}")
    # Were a grant given by mistake, a tenant would still see none but its own.
    async with house.admin.transaction():
        await house.admin.execute(f"GRANT SELECT ON workflow.{made} TO agentic_workflow")
    for tenant, rows in ((TENANT, 4), (STRANGER, 0)):
        async with house.serving.connection(scope(tenant)) as connection:
            assert await connection.fetchval(f"SELECT count(*) FROM {made}") == rows
            assert await connection.fetchval("SELECT count(*) FROM events") == rows


async def test_a_derived_id_with_its_time_lies_in_the_period_of_that_time(house: House) -> None:
    execution = derived_id_at(ms(NOW), "schedule", "x")
    assert execution == derived_id_at(ms(NOW), "schedule", "x")
    assert execution != derived_id_at(ms(NOW) + 1, "schedule", "x")
    assert (execution.version, execution.int >> 80) == (8, ms(NOW))
    await add(house, execution, 1)
    assert await part_of(house, execution) == set(await parts(house))
