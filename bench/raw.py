"""The raw limit: events of the engine's size, 100 a commit, into one table of the same Postgres."""

import asyncio
import os
import time
from uuid import uuid4

import asyncpg

_BATCH = 100
_CONNECTIONS = 2
_DATA = os.urandom(90).hex().encode()
_META = b'{"actor":"service:workflow","correlation_id":"' + b"0" * 36 + b'"}'
_INSERT = """
INSERT INTO raw_events (tenant_id, stream_id, version, type, data, meta)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::bytea[], $6::bytea[])"""


async def events_per_s(admin_dsn: str, seconds: float) -> float:
    """Return how many events a second Postgres takes from one client process."""
    owner = await asyncpg.connect(admin_dsn)
    await owner.execute("CREATE TABLE IF NOT EXISTS raw_events (LIKE workflow.events INCLUDING ALL)")
    tenant, done = uuid4(), 0
    deadline = time.perf_counter() + seconds

    async def writer() -> None:
        nonlocal done
        connection = await asyncpg.connect(admin_dsn)
        statement = await connection.prepare(_INSERT)
        while time.perf_counter() < deadline:
            stream = uuid4()
            await statement.fetch(
                [tenant] * _BATCH,
                [stream] * _BATCH,
                list(range(1, _BATCH + 1)),
                ["workflow.step-completed.v1"] * _BATCH,
                [_DATA] * _BATCH,
                [_META] * _BATCH,
            )
            done += _BATCH
        await connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(writer() for _ in range(_CONNECTIONS)))
    rate = done / (time.perf_counter() - began)
    await owner.execute("DROP TABLE raw_events")
    await owner.close()
    return round(rate, 1)
