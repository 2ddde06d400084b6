"""What is told to many executions reaches each of them, whatever one of them makes of it."""

from typing import Any, cast
from uuid import UUID

import pytest

from services.workflow.app.admitting import Admitting
from services.workflow.app.items import Accepted, Control
from services.workflow.app.slots import Found, SlotKey
from services.workflow.domain.commands import Admit, Cancel
from services.workflow.errors import PartitionMoving
from shared.ids import new_id
from tests.unit.workflow_engine.scenario import TENANT


class Slots:
    """`Slots` of which nobody has ended, and some are to be told something."""

    def __init__(self, unadmitted: list[Found], leaving: list[Found]) -> None:
        self._unadmitted = unadmitted
        self._leaving = leaving

    async def stale(self) -> list[SlotKey]:
        return []

    async def clear_out(self, key: SlotKey) -> list[UUID]:
        raise AssertionError(f"{key} is not stale")

    async def unadmitted(self) -> list[Found]:
        return self._unadmitted

    async def leaving(self) -> list[Found]:
        return self._leaving


async def test_a_bug_in_one_execution_ends_no_sweep(caplog: pytest.LogCaptureFixture) -> None:
    unadmitted = [Found(tenant, new_id()) for tenant in (TENANT, TENANT, TENANT, new_id())]
    leaving = [Found(TENANT, new_id())]
    told: list[tuple[UUID, type[Control]]] = []
    fails: dict[UUID, Exception] = {
        unadmitted[0].execution_id: RuntimeError("a bug"),
        unadmitted[1].execution_id: PartitionMoving("It is just going.", retry_after=1),
    }

    async def tell(execution_id: UUID, tenant_id: UUID, command: Control, actor: str) -> Accepted:
        if execution_id in fails:
            raise fails[execution_id]
        told.append((execution_id, type(command)))
        return Accepted(execution_id, "running", 1, 1)

    await Admitting(cast("Any", Slots(unadmitted, leaving)), tell, cast("Any", None)).sweep()
    assert told == [
        (unadmitted[2].execution_id, Admit),
        (unadmitted[3].execution_id, Admit),
        (leaving[0].execution_id, Cancel),
    ]
    assert f"the execution {unadmitted[0].execution_id} could not be told" in caplog.text
