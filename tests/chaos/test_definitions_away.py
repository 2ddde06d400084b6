"""A command that comes while definitions cannot be read came at a bad time: it is not a wrong one."""

import pytest

from services.workflow.adapters.programs import PostgresPrograms
from services.workflow.errors import StoreAway
from shared.db.pool import open_pool
from shared.ids import new_id
from tests.conftest import Backbone

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_definitions_that_cannot_be_read_are_asked_for_again(backbone: Backbone) -> None:
    pool = await open_pool(backbone.working_dsn("workflow"), name="chaos")
    programs = PostgresPrograms(pool)
    pool.terminate()
    with pytest.raises(StoreAway) as loading:
        await programs.load(new_id(), 1)
    with pytest.raises(StoreAway) as resolving:
        await programs.resolve(new_id(), "any")
    assert loading.value.retry_after == resolving.value.retry_after == 1
