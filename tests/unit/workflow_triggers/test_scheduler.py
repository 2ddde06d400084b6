"""The scheduler on a virtual clock, before the real engine on a log in memory."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from services.workflow.app.schedules import Move, ScheduleId, Scheduler, ScheduleRow
from services.workflow.app.starting import Executions
from services.workflow.domain.events import ExecutionStarted
from services.workflow.domain.language.errors import DefinitionInvalid, fault
from services.workflow.domain.language.program import Program
from services.workflow.domain.schedules import ScheduleKey, due
from services.workflow.errors import StoreAway
from services.workflow.limits import MAX_MISSED_RUNS
from services.workflow.metrics import TriggerMetrics
from shared.ids import new_id
from tests.unit.workflow_engine.engine_house import NO_ADMISSION, House, Store
from tests.unit.workflow_engine.scenario import TENANT, WORKFLOW, program_of, transform

NINE = dt.datetime(2026, 1, 5, 9, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


class Places:
    """`ScheduleStore` of one schedule. `lost` is how many moves are lost to a crash before they are durable."""

    def __init__(self, place: dt.datetime, cron: str) -> None:
        self.row = ScheduleRow(TENANT, WORKFLOW, 1, ScheduleKey(cron, "UTC", 0), place)
        self.place: dt.datetime | None = place
        self.moves: list[dt.datetime | None] = []
        self.lost: list[int] = []

    async def due(self, now: dt.datetime, limit: int) -> Sequence[ScheduleRow]:
        if self.place is None or self.place > now:
            return []
        return [msgspec.structs.replace(self.row, next_fire_at=self.place)]

    async def advance(self, moves: Sequence[Move]) -> set[ScheduleId]:
        await asyncio.sleep(0)
        if len(self.moves) in self.lost:
            self.lost.remove(len(self.moves))
            raise StoreAway("The event store does not answer.", retry_after=1)
        [(row, to)] = moves
        if row.next_fire_at != self.place:
            return set()
        self.place = to
        self.moves.append(to)
        return {row.id}


class Plant:
    """A schedule, the scheduler and an engine. `now` is the clock."""

    def __init__(self, trigger: dict[str, Any], *, step: Any = "{input}", **fields: Any) -> None:
        trigger = {"type": "schedule", "cron": "* * * * *", **trigger}
        self.program: Program = program_of([transform("a", step)], triggers=[trigger], **fields)
        self.store = Store()
        self.places = Places(NINE, trigger["cron"])
        self.now = NINE
        self.buried: list[tuple[str, Any, str]] = []
        self.metrics = TriggerMetrics(CollectorRegistry())

    def house(self) -> House:
        return House(self.program, self.store)

    def scheduler(self, house: House) -> Scheduler:
        async def bury(subject: str, body: bytes, why: str) -> None:
            self.buried.append((subject, msgspec.json.decode(body), why))

        executions = Executions(house.engine, house.programs, house.store.log, NO_ADMISSION)
        return Scheduler(self.places, house.programs, executions, self.metrics, bury, lambda: self.now)

    async def started(self) -> list[ExecutionStarted]:
        found = [(await self.store.events(run))[0] for run in self.store.rows]
        return sorted(
            (e for e in found if isinstance(e, ExecutionStarted)), key=lambda e: e.context["schedule"]["time"]
        )

    async def times(self) -> list[str]:
        return [event.context["schedule"]["time"][11:16] for event in await self.started()]


async def test_each_moment_starts_one_execution_that_carries_it() -> None:
    plant = Plant({"input": {"at": "{schedule.time}", "for": "{tenant.id}"}})
    async with plant.house() as house:
        scheduler = plant.scheduler(house)
        for _ in range(3):
            assert await scheduler.fire_due() == 1
            assert await scheduler.fire_due() == 0, "until the next moment"
            plant.now += MINUTE
    started = await plant.started()
    assert await plant.times() == ["09:00", "09:01", "09:02"]
    assert started[0].input == {"at": "2026-01-05T09:00:00Z", "for": str(TENANT)}
    assert started[0].trigger == "schedule"
    assert started[0].context["schedule"]["cron"] == "* * * * *"
    assert plant.metrics.schedule_runs.labels("started")._value.get() == 3


async def test_nothing_is_due_before_its_time() -> None:
    plant = Plant({})
    plant.now -= dt.timedelta(seconds=1)
    async with plant.house() as house:
        assert await plant.scheduler(house).fire_due() == 0
    assert not plant.store.rows


async def test_a_place_that_was_lost_after_the_start_starts_nothing_twice() -> None:
    plant = Plant({})
    plant.places.lost = [0]
    async with plant.house() as house:
        scheduler = plant.scheduler(house)
        with pytest.raises(StoreAway):
            await scheduler.fire_due()
        assert len(plant.store.rows) == 1, "the start was durable"
        plant.now += dt.timedelta(seconds=5)
        await scheduler.fire_due()
    assert await plant.times() == ["09:00"]
    assert plant.places.place == NINE + MINUTE


@pytest.mark.parametrize(
    ("missed", "expected"), [("skip", []), ("one", ["09:10"]), ("all", [f"09:{n:02}" for n in range(11)])]
)
async def test_what_was_missed(missed: str, expected: list[str]) -> None:
    plant = Plant({"missed": missed, "cron": "0-10 * * * *"})
    plant.now = NINE + 30 * MINUTE
    async with plant.house() as house:
        await plant.scheduler(house).fire_due()
    assert await plant.times() == expected
    assert plant.places.place == NINE + 60 * MINUTE


async def test_a_crash_after_a_run_that_was_on_time_does_not_swallow_the_one_for_what_was_missed_later() -> None:
    plant = Plant({})
    plant.places.lost = [0]
    async with plant.house() as house:
        with pytest.raises(StoreAway):
            await plant.scheduler(house).fire_due()
        plant.now += 7 * MINUTE
        await plant.scheduler(house).fire_due()
    assert await plant.times() == ["09:00", "09:07"]


async def test_a_crash_before_the_run_for_what_was_missed_makes_one_all_the_same() -> None:
    plant = Plant({})
    plant.now += 7 * MINUTE
    async with plant.house() as house:
        plant.places.lost = [1]
        with pytest.raises(StoreAway):
            await plant.scheduler(house).fire_due()  # the run is durable, the place stays at 09:07
        plant.now += dt.timedelta(seconds=1)
        await plant.scheduler(house).fire_due()
    assert await plant.times() == ["09:07"]


async def test_what_is_made_up_for_is_bounded_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    plant = Plant({"missed": "all"})
    plant.now += 500 * MINUTE
    async with plant.house() as house:
        await plant.scheduler(house).fire_due()
    assert len(plant.store.rows) == MAX_MISSED_RUNS
    assert plant.metrics.schedule_moments_passed_over.labels("cut")._value.get() == 1
    assert "those from 2026-01-05T09:00:00Z until 2026-01-05T15:41:00Z have no run" in caplog.text


async def test_two_replicas_at_once_start_once() -> None:
    plant = Plant({"missed": "all"})
    plant.now += 20 * MINUTE
    async with plant.house() as one, plant.house() as other:
        schedulers = [plant.scheduler(one), plant.scheduler(other)]
        await asyncio.gather(*(scheduler.fire_due() for scheduler in schedulers))
    assert len(await plant.times()) == len(set(await plant.times())) == 21
    assert plant.places.place == plant.now + MINUTE


async def test_a_condition_lets_moments_pass() -> None:
    plant = Plant({"condition": "$.schedule.time == '2026-01-05T09:01:00Z'"})
    async with plant.house() as house:
        for _ in range(3):
            await plant.scheduler(house).fire_due()
            plant.now += MINUTE
    assert await plant.times() == ["09:01"]


async def test_what_can_never_start_is_kept_aside_and_the_schedule_goes_on() -> None:
    plant = Plant({"input": {"n": 1}}, input_schema={"type": "object", "required": ["x"]})
    async with plant.house() as house:
        await plant.scheduler(house).fire_due()
    [(subject, body, why)] = plant.buried
    assert subject == f"schedules.{TENANT}.{WORKFLOW}"
    assert (body["code"], body["schedule"]["time"]) == ("input_invalid", "2026-01-05T09:00:00Z")
    assert "input_invalid" in why
    assert plant.places.place == NINE + MINUTE


async def test_a_definition_that_cannot_be_read_is_kept_aside_and_comes_no_more() -> None:
    plant = Plant({})
    async with plant.house() as house:
        house.programs.program = DefinitionInvalid([fault("steps", "gone", "no_steps")])
        await plant.scheduler(house).fire_due()
    assert [body["code"] for _, body, _ in plant.buried] == ["definition_invalid"]
    assert plant.places.place is None


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (ScheduleKey("1 * * * *", "UTC", 0), OverflowError("date value out of range")),
        (ScheduleKey("* * * * *", "Europe/Gone", 0), ValueError("there is no time zone 'Europe/Gone'")),
    ],
)
async def test_a_schedule_that_cannot_be_planned_does_not_keep_the_page_from_the_others(
    key: ScheduleKey, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant = Plant({})
    good, bad = plant.places.row, msgspec.structs.replace(plant.places.row, key=key, workflow_id=new_id())
    [trigger] = plant.program.definition.triggers
    broken = msgspec.structs.replace(trigger, cron="1 * * * *")
    moves: list[Move] = []

    async def rows(*_: Any) -> list[ScheduleRow]:
        return [bad, good]

    async def advance(wanted: Sequence[Move]) -> set[ScheduleId]:
        moves.extend(wanted)
        return {row.id for row, _ in wanted}

    def keyed(_: Any) -> dict[ScheduleKey, Any]:
        return {key: broken, good.key: trigger}

    def due_or_not(trigger: Any, *rest: Any) -> Any:
        if trigger is broken:
            raise error
        return due(trigger, *rest)

    monkeypatch.setattr(plant.places, "due", rows)
    monkeypatch.setattr(plant.places, "advance", advance)
    monkeypatch.setattr("services.workflow.app.schedules.keyed", keyed)
    monkeypatch.setattr("services.workflow.app.schedules.due", due_or_not)
    async with plant.house() as house:
        assert await plant.scheduler(house).fire_due() == 2
    assert await plant.times() == ["09:00"]
    assert moves == [(bad, None), (good, NINE + MINUTE)]
    [(_, body, why)] = plant.buried
    assert (body["schedule"]["time"], body["schedule"]["timezone"]) == ("2026-01-05T09:00:00Z", key.timezone)
    assert repr(error) in why


async def test_an_outage_moves_nothing_on() -> None:
    plant = Plant({})
    async with plant.house() as house:
        house.programs.program = StoreAway("The event store does not answer.", retry_after=1)
        with pytest.raises(StoreAway):
            await plant.scheduler(house).fire_due()
    assert plant.places.place == NINE
    assert not plant.buried


async def test_a_schedule_that_the_definition_has_no_more_starts_nothing() -> None:
    plant = Plant({})
    plant.places.row = msgspec.structs.replace(plant.places.row, key=ScheduleKey("0 0 * * *", "UTC", 0))
    async with plant.house() as house:
        assert await plant.scheduler(house).fire_due() == 1
    assert not plant.store.rows


async def test_the_loop_goes_on_after_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.workflow.app.schedules.SCHEDULE_POLL_S", 0.001)
    plant = Plant({})
    plant.places.lost = [0, 1]
    async with plant.house() as house:
        running = asyncio.create_task(plant.scheduler(house).run())
        async with asyncio.timeout(10):
            while plant.places.place != NINE + 3 * MINUTE:
                plant.now = plant.places.place or plant.now
                await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert (await plant.times())[:3] == ["09:00", "09:01", "09:02"]
    assert len(await plant.times()) == len(set(await plant.times()))
