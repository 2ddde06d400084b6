"""`make bench-scale`: W1 with one, two and four workflow processes, and what their coming and going costs.

A pause is the longest time without an event of one partition, over all partitions and while there is enough to do in
each. The last line is JSON.
"""

import asyncio
import datetime as dt
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import msgspec
import uvloop

from bench.engine import WORKFLOWS
from bench.load import Driver
from bench.processes import cpu_seconds
from infra.cli.tokens import issue_token
from infra.local.options import Options, ServiceProgram
from infra.local.platform import Platform
from shared.bus.tasks import PARTITIONS

_SERVICES = ("tenant", "workflow")
_PROCESSES = (1, 2, 4)
_STEPS = 5
_PATIENCE_S = 60.0
_LOAD = 256  # executions at once while something happens: eight a partition
_QUIET_S = 4.0
_OWNED = """
SELECT engine_id, count(*) FROM workflow.partitions
WHERE engine_id IN (SELECT workflow.living_engines()) GROUP BY 1"""
_PAUSE = """
SELECT max(gap) FROM (
    SELECT recorded_at - lag(recorded_at) OVER (PARTITION BY get_byte(uuid_send(stream_id), 15) & 31
                                                ORDER BY recorded_at) AS gap
    FROM workflow.events WHERE recorded_at BETWEEN $1 AND $2) AS gaps"""


async def main() -> None:
    """Measure and print."""
    folder = Path(tempfile.mkdtemp(prefix="agentic-bench-"))
    folder.chmod(0o755)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AGENTIC_")}
    programs = tuple(ServiceProgram(s, f"services.{s}.__main__", (f"services.{s}.bootstrap",)) for s in _SERVICES)
    try:
        async with (
            Platform(Options(folder / "data", programs=programs, environment=inherited)) as platform,
            _driver(platform) as (driver, worker),
        ):
            database = await asyncpg.connect(platform.postgres_admin_dsn)
            await database.execute("SET search_path = workflow")
            figures = await _measure(platform, driver, database, worker)
            await database.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(msgspec.json.encode(figures).decode(), flush=True)


@asynccontextmanager
async def _driver(platform: Platform) -> AsyncIterator[tuple[Driver, int]]:
    seed = str(platform.operator_seed)
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.noop_worker", platform.nats_url, seed, stdout=asyncio.subprocess.PIPE
    )
    try:
        if worker.stdout is None or await worker.stdout.readline() != b"ready\n":
            raise RuntimeError("the worker did not start")
        token = (await issue_token(platform.nats_url, seed, "demo")).access_token
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(base_url=f"{platform.url}/api/v1", headers=headers, trust_env=False) as http:
            tenant_id = (await http.get("/auth/me")).raise_for_status().json()["tenant_id"]
            body = {"name": "w1", "slug": "w1", "steps": WORKFLOWS["w1"], "status": "active"}
            (await http.post("/workflows/workflows", json=body)).raise_for_status()
        driver = await Driver.connect(platform.nats_url, seed, tenant_id)
        yield driver, worker.pid
        await driver.close()
    finally:
        worker.kill()
        await worker.wait()


async def _measure(platform: Platform, driver: Driver, database: Any, worker: int) -> dict[str, float]:
    figures: dict[str, float] = {}
    running = 1
    await _until_shared(database, running)
    await driver.run("w1", _STEPS, 1000, 64)  # warm
    print("processes   at once   steps/s    p50 ms    p99 ms   engine CPU µs/step   all CPU µs/step", flush=True)
    for processes in _PROCESSES:
        while running < processes:
            await platform.add_workflow_process()
            running += 1
        await _until_shared(database, running)
        await driver.run("w1", _STEPS, 500, 64)
        for concurrency, executions in ((64, 3000), (512, 6000)):
            pids = {**platform.pids(), "worker": worker}
            before = cpu_seconds(pids)
            seen = await driver.run("w1", _STEPS, executions, concurrency)
            after = cpu_seconds(pids)
            cost = {name: (after[name] - before[name]) / (executions * _STEPS) * 1e6 for name in before}
            engines = sum(cost[name] for name in cost if name.startswith("workflow"))
            # The zygote's children are the services: counted once.
            every = sum(cost.values()) - cost["zygote"]
            print(
                f"{processes:9} {concurrency:9} {seen.steps_per_s:9,.0f} {seen.p50_ms:9.1f} {seen.p99_ms:9.1f}"
                f" {engines:20.1f} {every:17.1f}",
                flush=True,
            )
            key = f"p{processes}_c{concurrency}"
            figures[f"{key}_steps_per_s"], figures[f"{key}_p50_ms"] = seen.steps_per_s, seen.p50_ms
            figures[f"{key}_p99_ms"], figures[f"{key}_engine_cpu_us_per_step"] = seen.p99_ms, round(engines, 1)

    async def nothing() -> None:
        await asyncio.sleep(_QUIET_S)

    async def add() -> None:
        await platform.add_workflow_process()
        await _until_shared(database, running + 1)

    async def kill() -> None:
        platform.kill("workflow-2")
        await asyncio.sleep(0.5)  # it is started again, and joins as a new one
        await _until_shared(database, running + 1)

    print("under load       longest pause of a partition ms   longest execution ms", flush=True)
    happenings: tuple[tuple[str, Callable[[], Awaitable[None]]], ...] = (
        ("nothing", nothing),
        ("one added", add),
        ("one killed", kill),
    )
    for name, happens in happenings:
        pause, longest = await _under_load(driver, database, happens)
        print(f"{name:<12} {pause:37.0f} {longest:22.0f}", flush=True)
        key = name.replace(" ", "_")
        figures[f"{key}_pause_ms"], figures[f"{key}_longest_execution_ms"] = pause, longest
    return figures


async def _under_load(driver: Driver, database: Any, happens: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """Return the longest pause of a partition and the longest execution, in milliseconds, while something happens."""
    times: list[float] = []
    over = asyncio.Event()

    async def client() -> None:
        while not over.is_set():
            times.append((await driver.run_one("w1"))[1])

    load = [asyncio.create_task(client()) for _ in range(_LOAD)]
    await asyncio.sleep(2)
    times.clear()
    began = dt.datetime.now(dt.UTC)
    await happens()
    await asyncio.sleep(1)
    ended = dt.datetime.now(dt.UTC)
    over.set()
    await asyncio.gather(*load)
    pause = await database.fetchval(_PAUSE, began, ended)
    return round(pause.total_seconds() * 1000, 1), round(max(times) * 1000, 1)


async def _until_shared(database: Any, processes: int) -> None:
    """Return when so many processes share all partitions fairly."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        shares = [row[1] for row in await database.fetch(_OWNED)]
        if len(shares) == processes and sum(shares) == PARTITIONS and max(shares) - min(shares) <= 1:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"the partitions are not shared by {processes}: {shares}")
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    uvloop.run(main())
