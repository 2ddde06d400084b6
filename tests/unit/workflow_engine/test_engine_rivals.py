"""Two processes on one log: what one of them wrote, the other may not have heard of."""

import asyncio
from collections.abc import Mapping, Sequence
from uuid import UUID

import pytest

from services.workflow.app.clock import now_ms
from services.workflow.app.states import States, snapshot_of, state_of
from services.workflow.app.tracking import Tracking
from services.workflow.domain import commands as c
from services.workflow.domain.refusals import ExecutionEnded
from shared.bus.tasks import PARTITIONS, TaskError, TaskResult
from shared.eventstore.event import RecordedEvent, Snapshot
from tests.unit.workflow_engine.engine_house import House, Programs, Store, until
from tests.unit.workflow_engine.scenario import approval, plain, program_of, tool


async def test_an_execution_that_goes_on_after_another_process_ended_it_has_an_open_row() -> None:
    """Without one no process would take it up after a crash."""
    program = program_of([approval("a")])
    async with House(program) as first, House(program, first.store) as second:
        run = (await first.start()).execution_id
        await second.cancel(run)
        with pytest.raises(ExecutionEnded):
            await first.tell(run, c.Signal(0, "1", "go", None))
        assert (await first.tell(run, c.Retry(0))).status == "waiting"
        row = first.store.rows[run]
        assert (row.status, row.completed_at) == ("waiting", None)
        assert await first.store.open_executions(range(PARTITIONS), UUID(int=0), 10) == [run]


class SnapshotsBetweenReads(Store):
    """Another process takes a snapshot after each read."""

    async def read_streams(
        self, stream_ids: Sequence[UUID], *, whole: bool = False
    ) -> Mapping[UUID, list[RecordedEvent]]:
        found = await super().read_streams(stream_ids, whole=whole)
        await self._snapshot(stream_ids)
        return found

    async def load_snapshots(self, stream_ids: Sequence[UUID]) -> Mapping[UUID, Snapshot]:
        found = await super().load_snapshots(stream_ids)
        await self._snapshot(stream_ids)
        return found

    async def _snapshot(self, stream_ids: Sequence[UUID]) -> None:
        for stream_id in stream_ids:
            await self.save_snapshot(snapshot_of(state_of(self.log.stream(stream_id))))


async def test_a_snapshot_that_is_taken_while_a_state_is_loaded_leaves_no_gap_in_it() -> None:
    program = program_of([tool("a"), tool("b")])
    async with House(program, SnapshotsBetweenReads()) as house:
        run = (await house.start()).execution_id
        house.done(run, "a", {"x": 1})
        await until(lambda: len(house.sent.tasks) == 2)
        loaded = (await States(house.store, Programs(program)).load([run]))[run]
        assert loaded is not None
        assert plain(loaded) == plain(state_of(house.store.log.stream(run)))
        house.done(run, "b", 2)
        assert await house.until_ended(run) == "completed"


async def test_a_process_keeps_no_state_of_what_another_follows() -> None:
    """Else who asks it for a child that ended elsewhere is told for ever that the child runs."""
    program = program_of([tool("a")])
    async with House(program) as first, House(program, first.store) as second:
        await until(second.is_ready)
        run = (await first.start()).execution_id
        assert (await second.tell(run, c.Resume(0))).status == "running"
        first.done(run, "a", 1)
        await first.until_ended(run)
        assert (await second.start(run)).status == "completed"


async def test_a_retry_that_another_process_left_and_that_was_due_before_it_is_heard_of_is_made() -> None:
    policy = {"max_attempts": 2, "initial_interval_ms": 100, "jitter": 0}
    program = program_of([tool("a", retry=policy)])
    async with House(program) as stays:
        async with House(program, stays.store) as leaves:
            run = (await leaves.start()).execution_id
            stays.engine._following.look_again_at = 0
            stays.engine._wake.set()
            await until(lambda: run in stays.tracking.open)
            broken = TaskError("broken", "It broke.", retryable=True)
            leaves.engine.results([TaskResult(run, "a", 1, "error", error=broken)])
            await until(lambda: len(stays.store.log.stream(run)) == 3)
        retry_at = state_of(stays.store.log.stream(run)).steps["a"].due
        assert retry_at is not None
        await until(lambda: now_ms() > retry_at)
        stays.done(run, "a", "late")
        await until(lambda: any(task.attempt == 2 for task in stays.sent.tasks))
        stays.done(run, "a", "again", attempt=2)
        assert await stays.until_ended(run) == "completed"


async def test_a_task_that_another_process_scheduled_before_it_went_for_good_is_looked_for() -> None:
    """Both followed the execution: who stays has heard of nothing that the other wrote."""
    program = program_of([tool("a"), tool("b")])
    async with House(program) as stays:
        async with House(program, stays.store) as leaves:
            run = (await leaves.start()).execution_id
            stays.engine._following.look_again_at = 0
            stays.engine._wake.set()
            await until(lambda: run in stays.tracking.open)
            leaves.done(run, "a", 1)
            await until(lambda: len(leaves.sent.tasks) == 2)
        stays.engine._following.look_again_at = 0
        stays.engine._wake.set()
        await until(lambda: any(task.step_path == "b" for task in stays.sent.tasks))
        assert "a" not in stays.tracking.open[run].tasks
        stays.done(run, "b", 2)
        assert await stays.until_ended(run) == "completed"


async def test_what_another_process_ended_is_followed_no_longer() -> None:
    program = program_of([approval("a")])
    async with House(program) as stays, House(program, stays.store) as other:
        run = (await stays.start()).execution_id
        await other.cancel(run)
        stays.engine._following.look_again_at = 0
        stays.engine._wake.set()
        await until(lambda: run not in stays.tracking.open)


async def test_what_is_just_being_written_is_not_taken_for_another_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commit is in the log, and not settled yet."""
    from services.workflow.app import following

    program = program_of([tool("a"), tool("b"), tool("c")])
    async with House(program) as house:
        run = (await house.start()).execution_id
        caught_up: list[UUID] = []
        compared = asyncio.Event()

        async def behind(store: Store, _: Tracking, ids: Sequence[UUID]) -> list[UUID]:
            compared.set()
            return list(ids)

        async def take_up_anew(_: States, __: Tracking, ids: Sequence[UUID]) -> None:
            caught_up.extend(ids)

        monkeypatch.setattr(following, "behind", behind)
        monkeypatch.setattr(following, "take_up_anew", take_up_anew)
        house.store.open.clear()
        house.done(run, "a", 1)
        await until(lambda: len(house.store.commits) == 2)
        house.engine._following._doubted = [run]
        house.engine._wake.set()
        await until(compared.is_set)
        house.store.open.set()
        await until(lambda: len(house.sent.tasks) == 2)
        assert caught_up == []
