"""Calls whose gateway was killed under them, and that nobody asks for again, are ended all the same."""

import asyncio
import datetime as dt
import signal
import sys
from pathlib import Path
from uuid import uuid4

import asyncpg

from services.mcp_gateway.adapters.records import CallRecords
from services.mcp_gateway.adapters.running_calls import PostgresRunningCalls
from services.mcp_gateway.app.interrupted import Interrupted
from services.mcp_gateway.limits import CALL_SECONDS_MAX
from shared.db.kept import KeptConnections
from shared.db.pool import open_worker_pool
from shared.eventstore.postgres import PostgresEventLog
from shared.tail.waker import Waker
from tests.conftest import Backbone
from tests.fixtures.gateway_process import SERVERS, gateway

ACTING = SERVERS / "acting_server.py"


async def test_a_call_of_a_killed_gateway_is_ended_once_it_can_be_under_way_nowhere(
    backbone: Backbone, tmp_path: Path
) -> None:
    tenant = uuid4()
    async with gateway(backbone, commands=f"{sys.executable} {ACTING}") as running, running.client(tenant) as rest:
        server = {"name": "Acting", "server_type": "stdio", "command": sys.executable, "args": [str(ACTING)]}
        assert (await rest.post("/servers", json=server)).status_code == 201
        arguments = {"path": str(tmp_path / "f"), "text": "x", "seconds": 60}
        call = {"server_id": "acting", "tool_name": "append", "tool_input": arguments}
        calling = asyncio.create_task(rest.post("/execute", json=call))
        while not (await rest.get("/executions?status=running")).json()["executions"]:
            await asyncio.sleep(0.05)
        await running.stop(signal.SIGKILL)
        await asyncio.gather(calling, return_exceptions=True)
    pool = await open_worker_pool(backbone.working_dsn("mcp_gateway"), name="test", held=1)
    writing = KeptConnections(pool)
    records = CallRecords(PostgresEventLog(pool), writing, Waker("mcp_gateway"))
    records.start()
    try:
        interrupted = Interrupted(PostgresRunningCalls(pool), records)
        now = dt.datetime.now(dt.UTC)
        await interrupted.end_all(now + dt.timedelta(seconds=CALL_SECONDS_MAX - 60))
        assert await _ends(backbone, tenant) == [("running", None)]
        late = now + dt.timedelta(seconds=2 * CALL_SECONDS_MAX)
        assert await interrupted.end_all(late) >= 1
        assert await interrupted.end_all(late) == 0
    finally:
        await records.close()
        await writing.close()
        await pool.close()
    assert await _ends(backbone, tenant) == [("failed", "tool_interrupted")]


async def _ends(backbone: Backbone, tenant: object) -> list[tuple[str, str | None]]:
    connection = await asyncpg.connect(backbone.admin_dsn)
    try:
        rows = await connection.fetch(
            "SELECT status, error_code FROM mcp_gateway.tool_executions WHERE tenant_id = $1", tenant
        )
        return [tuple(row) for row in rows]
    finally:
        await connection.close()
