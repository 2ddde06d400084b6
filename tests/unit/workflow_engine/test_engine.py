"""The engine's loop: batches, two of them at once, rivals, outages, timers under load, what cannot be read."""

import asyncio
import math
from uuid import UUID, uuid4

import pytest

from services.workflow.errors import EngineBusy, ExecutionNotFound
from shared.errors import PlatformError
from shared.ids import new_id
from tests.unit.workflow_engine.engine_house import House, until
from tests.unit.workflow_engine.scenario import delay, program_of, tool, transform


async def test_an_execution_goes_from_start_to_end() -> None:
    async with House(program_of([tool("a"), tool("b", {"x": "{a}"})])) as house:
        accepted = await house.start()
        run = accepted.execution_id
        assert (accepted.status, accepted.version) == ("running", 2)
        house.done(run, "a", 1)
        await until(lambda: len(house.sent.tasks) == 2)
        assert house.sent.tasks[1].payload["arguments"] == {"x": 1}
        assert [task.traceparent for task in house.sent.tasks] == ["00-trace"] * 2
        house.done(run, "b", 2)
        assert await house.until_ended(run) == "completed"


async def test_a_result_that_comes_twice_is_recorded_once() -> None:
    async with House(program_of([tool("a"), tool("b")])) as house:
        run = (await house.start()).execution_id
        for _ in range(3):
            house.done(run, "a", 1)
        house.done(run, "a", "late", attempt=2)
        await until(lambda: len(house.sent.tasks) == 2)
        house.done(run, "b", 2)
        await house.until_ended(run)
        assert (await house.kinds(run)).count("step-completed") == 2


async def test_what_comes_during_a_commit_is_the_next_batch_and_it_is_decided_meanwhile() -> None:
    async with House(program_of([tool("a")])) as house:
        house.store.open.clear()
        first = house.start()
        await until(lambda: len(house.store.commits) == 1)
        others = [house.start() for _ in range(5)]
        await until(lambda: len(house.store.commits) == 2)
        assert [len(commit) for commit in house.store.commits] == [1, 5]
        third = house.start()
        await asyncio.sleep(0.01)
        assert len(house.store.commits) == 2, "no more than two are on their way"
        assert not first.done()
        house.store.open.set()
        await asyncio.gather(first, third, *others)


async def test_what_concerns_an_execution_on_its_way_waits_for_it() -> None:
    async with House(program_of([tool("a"), tool("b")])) as house:
        run = (await house.start()).execution_id
        house.store.open.clear()
        house.done(run, "a", 1)
        await until(lambda: len(house.store.commits) == 2)
        cancelling = house.cancel(run)
        await asyncio.sleep(0.01)
        assert len(house.store.commits) == 2
        house.store.open.set()
        await cancelling
        assert (await house.kinds(run))[-3:] == ["step-scheduled", "step-cancelled", "execution-cancelled"]


async def test_a_rival_that_was_first_is_followed() -> None:
    program = program_of([tool("a"), tool("b")])
    async with House(program) as house, House(program, house.store) as rival:
        run = (await house.start()).execution_id
        rival.done(run, "a", "rival")
        await until(lambda: len(rival.sent.tasks) == 1)
        house.done(run, "a", "mine")
        house.done(run, "b", 2)
        await house.until_ended(run)
        assert [e.output for e in await house.store.events(run) if hasattr(e, "path") and hasattr(e, "output")] == [
            "rival",
            2,
        ]


async def test_a_start_that_comes_again_starts_nothing() -> None:
    async with House(program_of([tool("a")])) as house:
        run = new_id()
        first = await house.start(run)
        again = await house.start(run)
        assert (first.version, again.version) == (2, 2)
        assert len(house.sent.tasks) == 1


async def test_a_start_whose_sender_has_gone_is_not_begun() -> None:
    async with House(program_of([tool("a")])) as house:
        house.store.open.clear()
        blockers = []
        for batches in (1, 2):
            blockers.append(house.start())
            await until(lambda batches=batches: len(house.store.commits) == batches)
        gone = house.start(new_id())
        await asyncio.sleep(0.01)
        gone.cancel()
        kept = house.start()
        house.store.open.set()
        await asyncio.gather(kept, *blockers)
        await asyncio.gather(gone, return_exceptions=True)
        assert gone.cancelled()
        assert len(house.store.rows) == 3


async def test_another_tenant_cannot_cancel() -> None:
    async with House(program_of([tool("a")])) as house:
        run = (await house.start()).execution_id
        with pytest.raises(ExecutionNotFound):
            await house.cancel(run, uuid4())
        with pytest.raises(ExecutionNotFound):
            await house.cancel(uuid4())


async def test_timers_are_due_under_load_too() -> None:
    async with House(program_of([delay("d", 0.05), tool("a")])) as house:
        waiting = (await house.start()).execution_id
        async with asyncio.timeout(5):
            while not house.sent.tasks:  # the queue is never empty
                house.done(waiting, "nothing")
                await asyncio.sleep(0)
        assert house.sent.tasks[0].step_path == "a"


async def test_a_row_shows_what_the_last_item_of_a_batch_left() -> None:
    """Running, waiting and running again within one batch."""
    steps = [tool("a"), delay("d", 0.05), tool("b")]
    async with House(program_of(steps)) as house:
        run = (await house.start()).execution_id
        blocker = house.start()
        await blocker
        house.store.open.clear()
        filler = [house.start(), house.start()]
        await until(lambda: len(house.store.commits) >= 3)
        house.done(run, "a", 1)
        await asyncio.sleep(0.08)
        house.store.open.set()
        await asyncio.gather(*filler)
        await until(lambda: any(task.step_path == "b" for task in house.sent.tasks))
        assert house.store.rows[run].status == "running"


async def test_after_an_outage_every_execution_goes_on() -> None:
    async with House(program_of([tool("a"), tool("b")])) as house:
        runs = [(await house.start()).execution_id for _ in range(3)]
        house.store.away = True
        for run in runs:
            house.done(run, "a", 1)
        with pytest.raises(EngineBusy):
            await house.start()
        await asyncio.sleep(0.05)
        house.store.away = False
        await until(lambda: {t.execution_id for t in house.sent.tasks if t.step_path == "b"} == set(runs))
        for run in runs:
            house.done(run, "b", 2)
            assert await house.until_ended(run) == "completed"
            assert (await house.kinds(run)).count("step-completed") == 2


async def test_a_new_engine_takes_up_what_an_earlier_one_left_open() -> None:
    program = program_of([tool("a"), transform("t", "{a}")])
    async with House(program) as first:
        run = (await first.start()).execution_id
    async with House(program, first.store) as second:
        await until(lambda: len(second.sent.tasks) == 1)
        assert second.sent.tasks[0].task_id == first.sent.tasks[0].task_id
        assert second.sent.tasks[0].traceparent == "00-trace"
        second.done(run, "a", 7)
        assert await second.until_ended(run) == "completed"


async def test_one_execution_that_cannot_be_folded_stops_no_other() -> None:
    program = program_of([tool("a")])
    async with House(program) as first:
        broken, sound = [(await first.start()).execution_id for _ in range(2)]
    first.store.unreadable.add(broken)
    async with House(program, first.store) as second:
        await until(lambda: [task.execution_id for task in second.sent.tasks] == [sound])
        second.done(broken, "a", 1)
        second.done(sound, "a", 1)
        assert await second.until_ended(sound) == "completed"
        assert await second.start()


async def test_an_execution_whose_definition_is_refused_today_fails() -> None:
    async with House(program_of([tool("a"), tool("b")])) as house:
        run = (await house.start()).execution_id
        house.programs.program = PlatformError("a step of it is not one any more")
        house.done(run, "a", 1)
        assert await house.until_ended(run) == "failed"
        assert (await house.kinds(run))[-2:] == ["step-cancelled", "execution-failed"]


async def test_a_bug_in_one_item_leaves_its_neighbours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from services.workflow.app import batch

    real, poisoned = batch.decide, new_id()

    def decide(state: object, *rest: object) -> object:
        if getattr(state, "id", None) == poisoned:
            raise ZeroDivisionError
        return real(state, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "decide", decide)
    async with House(program_of([tool("a")])) as house:
        house.store.open.clear()
        blockers = [house.start()]
        await until(lambda: len(house.store.commits) == 1)
        bad, good = house.start(poisoned), house.start()
        house.store.open.set()
        await asyncio.gather(good, *blockers)
        with pytest.raises(ZeroDivisionError):
            await bad


async def test_many_delays_of_ended_executions_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    from services.workflow.app import tracking

    monkeypatch.setattr(tracking, "MIN_DUES_COMPACTED", 10)
    async with House(program_of([delay("d", 3600)])) as house:
        runs: list[UUID] = [(await house.start()).execution_id for _ in range(30)]
        await asyncio.gather(*(house.cancel(run) for run in runs))
        assert len(house.tracking._dues) <= 10


async def test_what_an_overlapping_engine_left_is_taken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from services.workflow.app import following

    monkeypatch.setattr(following, "TAKE_UP_EVERY_MS", 50)
    program = program_of([tool("a"), delay("d", 0.05), tool("b")])
    async with House(program) as stays:
        async with House(program, stays.store) as leaves:
            run = (await leaves.start()).execution_id
        await until(lambda: [task.step_path for task in stays.sent.tasks] == ["a"])
        stays.done(run, "a", 1)
        await until(lambda: [task.step_path for task in stays.sent.tasks] == ["a", "b"])
        stays.done(run, "b", 2)
        assert await stays.until_ended(run) == "completed"


async def test_two_engines_record_each_step_once_and_either_can_go_on() -> None:
    program = program_of([tool("a"), delay("d", 0.05), tool("b"), tool("c")])
    async with House(program) as first:
        run = (await first.start()).execution_id
        async with House(program, first.store) as second:
            await until(lambda: len(second.sent.tasks) == 1)
            for house in (second, first):
                house.done(run, "a", 1)
            await until(lambda: any(t.step_path == "b" for h in (first, second) for t in h.sent.tasks))
            for house in (second, first):
                house.done(run, "b", 2)
            await until(lambda: any(t.step_path == "c" for h in (first, second) for t in h.sent.tasks))
        first.done(run, "c", 3)
        assert await first.until_ended(run) == "completed"
        kinds = await first.kinds(run)
        assert kinds.count("step-completed") == 4
        assert kinds.count("step-scheduled") == 3


async def test_an_outage_among_suspects_leaves_no_gap() -> None:
    async with House(program_of([tool("a"), tool("b"), tool("c")])) as house:
        run = (await house.start()).execution_id
        house.engine._suspect([])
        from services.workflow.app.items import ResultItem
        from shared.bus.tasks import TaskResult

        items = [ResultItem(run, TaskResult(run, path, 1, "ok", path)) for path in ("a", "b", "c")]
        record, calls = house.store.record, 0

        async def sometimes(transitions: object) -> object:
            nonlocal calls
            calls += 1
            house.store.away = calls == 2
            try:
                return await record(transitions)  # type: ignore[arg-type]
            finally:
                house.store.away = False

        house.store.record = sometimes  # type: ignore[method-assign, assignment]
        house.engine._suspect(items)  # type: ignore[arg-type]
        house.engine._wake.set()
        assert await house.until_ended(run) == "completed"
        recorded = (await house.store.log.read_streams([run]))[run]
        assert [event.version for event in recorded] == list(range(1, len(recorded) + 1))


async def test_an_engine_whose_sweep_broke_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would go on and send no task again: the process is to end and to be started anew."""

    def broken(*_: object) -> None:
        raise ValueError("a bug")

    house = House(program_of([tool("a")]))
    monkeypatch.setattr(house.tracking, "overdue", broken)
    house.engine.may_act_until(math.inf)
    async with asyncio.timeout(10):
        with pytest.raises(ValueError, match="a bug"):
            await house.engine.run()
