"""A definition that today's code cannot read keeps no event from a tenant's other workflows."""

from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from services.workflow.adapters.triggers import PostgresTriggers
from services.workflow.domain.language.errors import DefinitionInvalid, fault
from services.workflow.domain.language.program import Program
from services.workflow.errors import StoreAway
from shared.ids import new_id
from tests.unit.workflow_engine.scenario import TENANT, program_of, transform

GOOD, BAD = new_id(), new_id()
PROGRAM = program_of([transform("a")], triggers=[{"type": "event", "subject": "external.orders"}])


class Programs:
    """`Programs` of which one cannot be had."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def load(self, workflow_id: UUID, revision: int) -> Program:
        if workflow_id == BAD:
            raise self._error
        return PROGRAM


def triggers(error: Exception) -> PostgresTriggers:
    async def fetch(*_: Any) -> list[dict[str, Any]]:
        return [{"id": BAD, "revision": 7}, {"id": GOOD, "revision": 1}]

    return PostgresTriggers(cast("Any", SimpleNamespace(fetch=fetch)), cast("Any", Programs(error)))


@pytest.mark.parametrize(
    "error", [DefinitionInvalid([fault("steps", "gone", "no_steps")]), KeyError("a type of step that is no more")]
)
async def test_the_others_are_started(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    found = await triggers(error).of(TENANT)
    assert [(one.workflow_id, one.revision) for one in found] == [(GOOD, 1)]
    assert f"revision 7 of the workflow {BAD}" in caplog.text


@pytest.mark.parametrize("error", [StoreAway("The event store does not answer.", retry_after=1), OSError("reset")])
async def test_an_outage_is_none_of_the_definition(error: Exception) -> None:
    with pytest.raises(type(error)):
        await triggers(error).of(TENANT)
