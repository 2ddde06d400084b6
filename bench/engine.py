"""`make bench-engine`: what a recorded step costs, with a worker in another process, over NATS, fsync on.

W1: five no-op steps in sequence, each recorded before the next begins. W2: twenty in parallel and a join. W3: a hundred
in sequence. Beside them, in the same run, what the same Postgres takes of bare events. The last line is JSON.
"""

import asyncio
import datetime as dt
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import msgspec
import uvloop

from bench.load import Driver, Figures
from bench.processes import cpu_seconds
from bench.raw import events_per_s
from infra.cli.tokens import issue_token
from infra.local.options import Options, ServiceProgram
from infra.local.platform import Platform

_SERVICES = ("tenant", "workflow")
_W3_STEPS = 100
_EDGE = 20  # steps at each end of W3 that are compared


def _tool(name: str) -> dict[str, Any]:
    return {"type": "mcp_tool", "name": name, "server_id": "bench", "tool_name": "noop", "input": {"n": 1}}


WORKFLOWS: dict[str, list[dict[str, Any]]] = {
    "w1": [_tool(f"s{i}") for i in range(5)],
    "w2": [{"type": "parallel", "name": "fan", "steps": [_tool(f"s{i}") for i in range(20)]}],
    "w3": [_tool(f"s{i}") for i in range(_W3_STEPS)],
}


async def main() -> None:
    """Measure and print."""
    folder = Path(tempfile.mkdtemp(prefix="agentic-bench-"))
    folder.chmod(0o755)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AGENTIC_")}
    programs = tuple(ServiceProgram(s, f"services.{s}.__main__", (f"services.{s}.bootstrap",)) for s in _SERVICES)
    options = Options(folder / "data", programs=programs, environment=inherited)
    try:
        async with Platform(options) as platform:
            await _measure(platform)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(platform: Platform) -> None:
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
            tenant_id = await _define(http)
            driver = await Driver.connect(platform.nats_url, seed, tenant_id)
            figures = await _workloads(driver, http, platform, worker.pid)
            await driver.close()
    finally:
        worker.kill()
        await worker.wait()
    figures["raw_events_per_s"] = await events_per_s(platform.postgres_admin_dsn, 4)
    print(msgspec.json.encode(figures).decode(), flush=True)


async def _define(http: httpx2.AsyncClient) -> UUID:
    tenant_id = UUID((await http.get("/auth/me")).raise_for_status().json()["tenant_id"])
    for name, steps in WORKFLOWS.items():
        body = {"name": name, "slug": name, "steps": steps, "status": "active"}
        (await http.post("/workflows/workflows", json=body)).raise_for_status()
    return tenant_id


async def _workloads(driver: Driver, http: httpx2.AsyncClient, platform: Platform, worker_pid: int) -> dict[str, float]:
    await driver.run("w1", 5, 500, 64)  # warm: caches, prepared statements, the file system
    figures: dict[str, float] = {}
    c1 = await driver.run("w1", 5, 300, 1)
    _say("W1, 1 at a time", c1)
    figures["w1_c1_p50_ms"], figures["w1_c1_p99_ms"] = c1.p50_ms, c1.p99_ms
    for concurrency, executions in ((64, 4000), (512, 8000)):
        pids = {**platform.pids(), "worker": worker_pid}
        before = cpu_seconds(pids)
        seen = await driver.run("w1", 5, executions, concurrency)
        after = cpu_seconds(pids)
        _say(f"W1, {concurrency} at a time", seen)
        figures[f"w1_c{concurrency}_steps_per_s"] = seen.steps_per_s
        figures[f"w1_c{concurrency}_p50_ms"] = seen.p50_ms
        for name in ("workflow", "postgres", "nats", "worker", "driver"):
            cost = (after[name] - before[name]) / (executions * 5) * 1e6
            figures[f"w1_c{concurrency}_{name}_cpu_us_per_step"] = round(cost, 1)
            print(f"    {name:<10} {cost:6.1f} µs CPU per step", flush=True)
    w2 = await driver.run("w2", 20, 600, 16)
    _say("W2, 16 at a time", w2)
    figures["w2_steps_per_s"] = w2.steps_per_s
    w3 = await driver.run("w3", _W3_STEPS, 60, 16)
    _say("W3, 16 at a time", w3)
    figures["w3_steps_per_s"] = w3.steps_per_s
    first, last = await _edges(driver, http)
    print(f"W3, 1 at a time: {first:.3f} ms a step at its beginning, {last:.3f} at its end", flush=True)
    figures["w3_first20_ms_per_step"], figures["w3_last20_ms_per_step"] = first, last
    return figures


async def _edges(driver: Driver, http: httpx2.AsyncClient) -> tuple[float, float]:
    """Return milliseconds per step of the first and the last twenty steps of W3, the median of several runs."""
    firsts, lasts = [], []
    for _ in range(7):
        execution_id, _seconds = await driver.run_one("w3")
        answer = await http.get(f"/workflows/workflows/executions/{execution_id}/events")
        times = [
            dt.datetime.fromisoformat(event["recorded_at"])
            for event in answer.raise_for_status().json()["events"]
            if event["type"] == "workflow.step-completed.v1"
        ]
        firsts.append((times[_EDGE] - times[0]).total_seconds() * 1000 / _EDGE)
        lasts.append((times[-1] - times[-1 - _EDGE]).total_seconds() * 1000 / _EDGE)
    middle = len(firsts) // 2
    return round(sorted(firsts)[middle], 3), round(sorted(lasts)[middle], 3)


def _say(name: str, seen: Figures) -> None:
    print(f"{name}: {seen.steps_per_s:,.0f} steps/s, p50 {seen.p50_ms} ms, p99 {seen.p99_ms} ms", flush=True)


if __name__ == "__main__":
    uvloop.run(main())
