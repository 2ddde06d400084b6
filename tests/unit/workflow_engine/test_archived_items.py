"""What the engine says to whoever asks something of an archived execution."""

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from uuid import UUID

import pytest

from services.workflow.app.items import Accepted, Control, StartItem
from services.workflow.app.ports import StatusRow
from services.workflow.domain import commands as c
from services.workflow.errors import ExecutionArchived, ExecutionNotFound
from tests.unit.workflow_engine.engine_house import House, Store
from tests.unit.workflow_engine.scenario import EXECUTION, TENANT, WORKFLOW, program_of, tool

MOMENT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class WithArchive(Store):
    """One execution is archived."""

    async def archived(self, ids: Sequence[UUID]) -> Mapping[UUID, StatusRow]:
        row = StatusRow(TENANT, EXECUTION, WORKFLOW, 1, "failed", MOMENT, MOMENT, 4)
        return {EXECUTION: row} if EXECUTION in ids else {}


def house() -> House:
    return House(program_of([tool("a")]), WithArchive())


async def test_a_second_start_changes_nothing() -> None:
    async with house() as engine:
        done: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        start = StartItem(EXECUTION, TENANT, WORKFLOW, 1, {}, {}, "http", "user:1", None, done, known_new=False)
        assert await engine.engine.start(start) == Accepted(EXECUTION, "failed", 4, 0)
        assert engine.store.commits == []


@pytest.mark.parametrize(
    "command",
    [
        c.Cancel(0, "why"),
        c.Terminate(0, "why"),
        c.Pause(0, "why"),
        c.Resume(0),
        c.Retry(0),
        c.Signal(0, "1", "paid", None),
        c.Decide(0, "a", "user:1", True, "", None),
    ],
)
async def test_what_would_change_it_is_refused(command: Control) -> None:
    async with house() as engine:
        with pytest.raises(ExecutionArchived):
            await engine.tell(EXECUTION, command)
        with pytest.raises(ExecutionNotFound):
            await engine.tell(EXECUTION, command, UUID(int=9))
        assert engine.store.commits == []


async def test_a_late_result_is_dropped_and_the_engine_goes_on() -> None:
    async with house() as engine:
        engine.done(EXECUTION, "a")
        other = (await engine.start()).execution_id
        engine.done(other, "a")
        assert await engine.until_ended(other) == "completed"
        assert EXECUTION not in {execution for commit in engine.store.commits for execution in commit}
