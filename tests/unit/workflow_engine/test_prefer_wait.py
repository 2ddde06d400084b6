"""`Prefer: wait`: only a start that somebody waits for is looked for at each commit."""

from types import SimpleNamespace
from typing import Any, Self
from uuid import UUID

import pytest
from litestar.datastructures import State

from services.workflow.entry.executions_api import started
from services.workflow.entry.messages import Answer, StartExecution
from shared.ids import new_id
from shared.scope import TenantScope

COMMAND = StartExecution(new_id(), new_id(), "area")
SCOPE = TenantScope(COMMAND.tenant_id, "user:1")


class Ends:
    """`Endings` that notes whom it was to look for, and lets those end that it is told to."""

    def __init__(self, *, ends: bool) -> None:
        self.expected: list[UUID] = []
        self.waited: list[float] = []
        self._ends = ends

    def expect(self, _: TenantScope, execution_id: UUID) -> "Ends":
        self.expected.append(execution_id)
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    async def wait(self, seconds: float) -> bool:
        self.waited.append(seconds)
        return self._ends


def state_with(ends: Ends, status: str) -> State:
    async def start(command: StartExecution) -> Answer:
        return Answer(command.execution_id, status, 1, 7)

    return State({"endings": ends, "sender": SimpleNamespace(start=start)})


async def test_nobody_is_looked_for_whom_nobody_waits_for() -> None:
    ends = Ends(ends=True)
    answer, ended = await started(state_with(ends, "running"), SCOPE, COMMAND, 0.0)
    assert (answer.position, ended) == (7, False)
    assert ends.expected == []


@pytest.mark.parametrize(
    ("status", "ends_in_time", "waited"),
    [("running", True, [5.0]), ("running", False, [5.0]), ("completed", False, [])],
)
async def test_whoever_is_waited_for_is_expected(status: str, ends_in_time: bool, waited: list[Any]) -> None:
    ends = Ends(ends=ends_in_time)
    _, ended = await started(state_with(ends, status), SCOPE, COMMAND, 5.0)
    assert ended is (ends_in_time or status == "completed")
    assert ends.expected == [COMMAND.execution_id]
    assert ends.waited == waited
