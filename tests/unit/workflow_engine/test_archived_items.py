"""What the engine says to whoever asks something of an archived execution."""

import asyncio
from typing import Any

import pytest

from services.workflow.app.archived import answer_for_archived
from services.workflow.app.items import Accepted, CancelItem, StartItem, WakeItem
from services.workflow.domain.state import ExecutionState
from services.workflow.errors import ExecutionArchived
from tests.unit.workflow_engine.scenario import EXECUTION, TENANT, WORKFLOW

ARCHIVED = ExecutionState(EXECUTION, TENANT, 4, "completed", WORKFLOW, 1, ended_at=5, archived=True)


class RetryItem:
    def __init__(self, done: "asyncio.Future[Accepted]") -> None:
        self.done = done


def done() -> "asyncio.Future[Accepted]":
    return asyncio.get_running_loop().create_future()


async def test_a_second_start_and_a_cancellation_change_nothing() -> None:
    start = StartItem(EXECUTION, TENANT, WORKFLOW, 1, {}, {}, "http", "user:1", None, done())
    for item in (start, CancelItem(EXECUTION, TENANT, "why not", "user:1", done())):
        answer_for_archived(item, ARCHIVED)
        assert item.done.result() == Accepted(EXECUTION, "completed", 4, 0)
        answer_for_archived(item, ARCHIVED)


async def test_what_would_change_it_is_refused() -> None:
    item: Any = RetryItem(done())
    answer_for_archived(item, ARCHIVED)
    with pytest.raises(ExecutionArchived):
        item.done.result()


async def test_a_late_result_is_dropped() -> None:
    answer_for_archived(WakeItem(EXECUTION, []), ARCHIVED)
