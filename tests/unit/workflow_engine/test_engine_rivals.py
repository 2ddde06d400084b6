"""Two processes on one log: what one of them wrote, the other may not have heard of."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import pytest

from services.workflow.app.clock import now_ms
from services.workflow.app.states import States, snapshot_of, state_of
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

    async def read_streams(self, stream_ids: Sequence[UUID]) -> Mapping[UUID, list[RecordedEvent]]:
        found = await super().read_streams(stream_ids)
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
            stays.engine._look_again_at = 0
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
