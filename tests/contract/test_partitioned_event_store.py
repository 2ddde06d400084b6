"""The workflow service's log stands in partitions and is the same event store."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from shared.db.pool import TenantPool, open_pool
from shared.eventstore.ports import EventLog, EventReader
from shared.eventstore.postgres import PostgresEventLog, PostgresEventReader
from tests.conftest import Backbone
from tests.contract.event_store_conformance import EventStoreConformance

EMPTY = "TRUNCATE workflow.events, workflow.snapshots, workflow.checkpoints RESTART IDENTITY"


@pytest_asyncio.fixture
async def log(backbone: Backbone) -> AsyncIterator[EventLog]:
    admin = await asyncpg.connect(backbone.admin_dsn)
    await admin.execute(EMPTY)
    await admin.close()
    pool = await open_pool(backbone.working_dsn("workflow"), size=4, name="test")
    yield PostgresEventLog(pool)
    await pool.close()


@pytest_asyncio.fixture
async def serving(backbone: Backbone) -> AsyncIterator[TenantPool]:
    pool = TenantPool(await open_pool(backbone.serving_dsn("workflow"), size=2, name="test"))
    yield pool
    await pool.close()


@pytest.fixture
def reader(serving: TenantPool) -> EventReader:
    return PostgresEventReader(serving)


class TestInPartitions(EventStoreConformance):
    """With the fixtures above."""
