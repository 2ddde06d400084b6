"""The event store's contract, held against both of its implementations; and who may do what to an event."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio

from shared.db.pool import TenantPool, open_pool
from shared.eventstore.memory import InMemoryEventLog
from shared.eventstore.ports import EventLog, EventReader
from shared.eventstore.postgres import PostgresEventLog, PostgresEventReader
from tests.conftest import Backbone
from tests.contract.event_store_conformance import META, STRANGER, TENANT, EventStoreConformance, events, scope

SERVICE = "rag"  # any service: every schema has the same event store
EMPTY = f"TRUNCATE {SERVICE}.events, {SERVICE}.snapshots, {SERVICE}.checkpoints RESTART IDENTITY"


class TestInMemory(EventStoreConformance):
    @pytest.fixture
    def log(self) -> InMemoryEventLog:
        return InMemoryEventLog()

    @pytest.fixture
    def reader(self, log: InMemoryEventLog) -> EventReader:
        return log


@pytest_asyncio.fixture
async def log(backbone: Backbone) -> AsyncIterator[EventLog]:
    admin = await asyncpg.connect(backbone.admin_dsn)
    await admin.execute(EMPTY)
    await admin.close()
    pool = await open_pool(backbone.working_dsn(SERVICE), size=4, name="test")
    yield PostgresEventLog(pool)
    await pool.close()


@pytest_asyncio.fixture
async def serving(backbone: Backbone) -> AsyncIterator[TenantPool]:
    pool = TenantPool(await open_pool(backbone.serving_dsn(SERVICE), size=2, name="test"))
    yield pool
    await pool.close()


@pytest.fixture
def reader(serving: TenantPool) -> EventReader:
    return PostgresEventReader(serving)


class TestOnPostgres(EventStoreConformance):
    """With the fixtures above."""


async def seen(serving: TenantPool, tenant_id: UUID) -> set[UUID]:
    async with serving.connection(scope(tenant_id)) as connection:
        return {row["tenant_id"] for row in await connection.fetch("SELECT tenant_id FROM events")}


async def test_a_query_without_a_filter_shows_one_tenant(log: EventLog, serving: TenantPool) -> None:
    await log.append([*events(uuid4(), 1), *events(uuid4(), 1, tenant=STRANGER)])
    assert await seen(serving, TENANT) == {TENANT}
    assert await seen(serving, STRANGER) == {STRANGER}
    assert await seen(serving, UUID(int=13)) == set()


async def test_without_a_tenant_nothing_is_seen(log: EventLog, backbone: Backbone) -> None:
    await log.append(events(uuid4(), 1))
    connection = await asyncpg.connect(backbone.serving_dsn(SERVICE))
    try:
        assert await connection.fetchval("SELECT count(*) FROM events") == 0
    finally:
        await connection.close()


async def test_a_connection_forgets_its_tenant(log: EventLog, serving: TenantPool) -> None:
    await log.append(events(uuid4(), 1))
    assert await seen(serving, TENANT) == {TENANT}
    async with serving._pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM events") == 0


async def test_nobody_writes_an_event_in_anothers_name(log: EventLog, serving: TenantPool) -> None:
    statement = "INSERT INTO events (tenant_id, stream_id, version, type, data, meta) VALUES ($1, $2, 1, 't', $3, $3)"
    async with serving.connection(scope(TENANT)) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement, STRANGER, uuid4(), META)
    assert await log.last_position() == 0


@pytest.mark.parametrize("login", ["serving_dsn", "working_dsn"])
@pytest.mark.parametrize("statement", ["UPDATE events SET data = ''", "DELETE FROM events", "TRUNCATE events"])
async def test_no_login_of_a_service_changes_what_was_recorded(
    log: EventLog, backbone: Backbone, login: str, statement: str
) -> None:
    await log.append(events(uuid4(), 1))
    connection = await asyncpg.connect(getattr(backbone, login)(SERVICE))
    try:
        await connection.execute("SELECT set_config('app.tenant_id', $1, false)", str(TENANT))
        assert await connection.fetchval("SELECT count(*) FROM events") == 1
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()
    assert [e.data for e in (await log.read_page(0, 10)).events] == [b'{"v":1}']
