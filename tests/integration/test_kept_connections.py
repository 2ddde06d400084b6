"""Connections that stay lent: used again, replaced when they broke, and given back in the end."""

import asyncio

import asyncpg
import pytest

from shared.db.kept import KeptConnections
from shared.db.pool import open_worker_pool
from tests.conftest import Backbone

pytestmark = pytest.mark.asyncio(loop_scope="session")
PID = "SELECT pg_backend_pid()"


async def test_one_statement_after_another_takes_one_connection_and_two_at_once_two(backbone: Backbone) -> None:
    pool = await open_worker_pool(backbone.working_dsn("workflow"), name="kept")
    kept = KeptConnections(pool)
    first = await kept.fetchval(PID)
    assert await kept.fetchval(PID) == first
    slow = asyncio.create_task(kept.fetchval("SELECT pg_backend_pid() FROM pg_sleep(0.2)"))
    await asyncio.sleep(0)
    assert await kept.fetchval(PID) != first
    assert await slow == first
    assert pool.get_size() - pool.get_idle_size() == 2
    await kept.close()
    async with asyncio.timeout(5):
        await pool.close()


async def test_one_that_broke_is_replaced(backbone: Backbone) -> None:
    pool = await open_worker_pool(backbone.working_dsn("workflow"), name="kept")
    kept = KeptConnections(pool)
    first = await kept.fetchval(PID)
    admin = await asyncpg.connect(backbone.admin_dsn)
    await admin.execute("SELECT pg_terminate_backend($1)", first)
    await admin.close()
    async with asyncio.timeout(10):
        while True:  # until the client's side has heard of it, a statement on it fails
            try:
                assert await kept.fetchval(PID) != first
                break
            except (asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError):
                continue
    with pytest.raises(asyncpg.DivisionByZeroError):
        await kept.fetchval("SELECT 1 / 0")
    assert await kept.fetchval("SELECT 7") == 7
    await kept.close()
    async with asyncio.timeout(5):
        await pool.close()


async def test_one_that_was_idle_for_long_is_opened_anew(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = await open_worker_pool(backbone.working_dsn("workflow"), name="kept")
    kept = KeptConnections(pool)
    first = await kept.fetchval(PID)
    monkeypatch.setattr("shared.db.kept.DB_KEPT_IDLE_S", -1.0)
    assert await kept.fetchval(PID) != first
    assert pool.get_size() - pool.get_idle_size() == 1
    await kept.close()
    async with asyncio.timeout(5):
        await pool.close()


async def test_a_statement_that_outlasts_the_end_or_is_cancelled_gives_its_connection_back(backbone: Backbone) -> None:
    pool = await open_worker_pool(backbone.working_dsn("workflow"), name="kept")
    kept = KeptConnections(pool)
    lasting = asyncio.create_task(kept.fetchval("SELECT 1 FROM pg_sleep(0.3)"))
    cancelled = asyncio.create_task(kept.fetchval("SELECT 1 FROM pg_sleep(60)"))
    while pool.get_size() - pool.get_idle_size() < 2:
        await asyncio.sleep(0.01)
    cancelled.cancel()
    await kept.close()
    assert await lasting == 1
    async with asyncio.timeout(10):
        await pool.close()
