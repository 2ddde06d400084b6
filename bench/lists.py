"""`make bench-lists`: how long a page of executions takes where there are a million, for each way to narrow the list.

The rows are put into the tables by SQL, for several tenants; pages are read through the edge, one request at a time.
The last line is JSON.
"""

import datetime as dt
import os
import shutil
import tempfile
import time
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx2
import msgspec
import uvloop

from infra.cli.tokens import issue_token
from infra.local.options import Options, ServiceProgram
from infra.local.platform import Platform
from shared.db.queries import load_queries
from shared.http.pages import encode_place
from shared.paging import Place

_sql = load_queries(Path(__file__).with_suffix(".sql"))
_SERVICES = ("tenant", "workflow")
_ROWS = int(os.environ.get("BENCH_ROWS", "1000000"))
_LOADED_AT_ONCE = 50_000
_REQUESTS = 40
_WORKFLOWS = 10
_BEGAN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_PATH = "/workflows/workflows/executions"


async def main() -> None:
    """Measure and print."""
    folder = Path(tempfile.mkdtemp(prefix="agentic-bench-", dir="/tmp"))
    folder.chmod(0o755)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AGENTIC_")}
    programs = tuple(ServiceProgram(s, f"services.{s}.__main__", (f"services.{s}.bootstrap",)) for s in _SERVICES)
    try:
        async with Platform(Options(folder / "data", programs=programs, environment=inherited)) as platform:
            await _measure(platform)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(platform: Platform) -> None:
    token = (await issue_token(platform.nats_url, str(platform.operator_seed), "demo")).access_token
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=f"{platform.url}/api/v1", headers=headers, trust_env=False) as http:
        tenant = UUID((await http.get("/auth/me")).raise_for_status().json()["tenant_id"])
        workflows = [await _define(http, number) for number in range(_WORKFLOWS)]
        figures: dict[str, object] = {
            "rows": _ROWS,
            "bytes": await _load(platform.postgres_admin_dsn, tenant, workflows),
        }
        print(f"{'list':<44} {'p50 ms':>8} {'p95 ms':>8}  rows, total", flush=True)
        for name, params in _lists(workflows[3]).items():
            figures[name] = await _time(http, name, params)
    print(msgspec.json.encode(figures).decode(), flush=True)


async def _define(http: httpx2.AsyncClient, number: int) -> UUID:
    body = {"name": f"w{number}", "slug": f"w{number}", "steps": [{"type": "transform", "name": "a"}]}
    return UUID((await http.post("/workflows/workflows", json=body)).raise_for_status().json()["id"])


async def _load(dsn: str, tenant: UUID, workflows: list[UUID]) -> dict[str, int]:
    admin = await asyncpg.connect(dsn)
    began = time.perf_counter()
    for first in range(0, _ROWS, _LOADED_AT_ONCE):
        last = min(first + _LOADED_AT_ONCE, _ROWS) - 1
        await admin.execute(_sql.load, tenant, first, last, workflows)
    await admin.execute(_sql.load_attributes)
    await admin.execute(_sql.settle)
    print(f"{_ROWS:,} executions in {time.perf_counter() - began:.0f} s", flush=True)
    sizes = {row["relname"]: row["bytes"] for row in await admin.fetch(_sql.sizes)}
    for name, size in sizes.items():
        print(f"    {name:<28} {size / 2**20:8.1f} MiB", flush=True)
    await admin.close()
    return sizes


def _at(share: float) -> dt.datetime:
    """Return when that share of the executions had started."""
    return _BEGAN + dt.timedelta(seconds=int(_ROWS * share) * 10)


def _lists(workflow: UUID) -> dict[str, dict[str, object]]:
    """Return the lists that are measured, by name."""
    day = (_at(0.5).isoformat(), (_at(0.5) + dt.timedelta(days=1)).isoformat())
    started = {"started_after": day[0], "started_before": day[1]}
    ended = {"ended_after": day[0], "ended_before": day[1]}
    middle, end = encode_place(Place(_at(0.5), UUID(int=0))), encode_place(Place(_at(0.0002), UUID(int=0)))
    hour_before = (_at(1) - dt.timedelta(hours=1)).isoformat()
    return {
        "all, first page": {},
        "all, by cursor, middle": {"cursor": middle},
        "all, by cursor, end": {"cursor": end},
        "all, offset 10,000": {"offset": 10_000},
        "status failed": {"status": "failed"},
        "status failed, by cursor, middle": {"status": "failed", "cursor": middle},
        "status waiting, by cursor, end": {"status": "waiting", "cursor": end},
        "status running or waiting": {"status": ["running", "waiting"]},
        "status paused (none)": {"status": "paused"},
        "workflow by slug": {"workflow_id": "w3"},
        "workflow, by cursor, middle": {"workflow_id": str(workflow), "cursor": middle},
        "workflow, failed or cancelled": {"workflow_id": str(workflow), "status": ["failed", "cancelled"]},
        "trigger event": {"trigger": "event"},
        "trigger hook (7 in all)": {"trigger": "hook"},
        "started in a day": started,
        "started in a day, failed": {**started, "status": "failed"},
        "ended in a day": ended,
        "ended in a day, failed": {**ended, "status": "failed"},
        "ended within the last hour": {"ended_after": hour_before},
        "attribute of one": {"attribute": f"order:{_ROWS // 2 + 3}"},
        "attribute of a hundred": {"attribute": "customer:c-1234"},
        "attribute of most": {"attribute": "env:prod"},
        "attribute of most, by cursor, middle": {"attribute": "env:prod", "cursor": middle},
        "attribute of most, by cursor, end": {"attribute": "env:prod", "cursor": end},
        "attribute of most, failed": {"attribute": "env:prod", "status": "failed"},
        "two attributes, the rare one first": {"attribute": ["customer:c-1234", "env:prod"]},
        "two attributes, none has both": {"attribute": ["env:stage", "customer:c-1234"]},
        "tag": {"tag": "nightly"},
        "tag, attribute, workflow, status": {
            "tag": "nightly", "attribute": "env:stage", "workflow_id": str(workflow), "status": "completed",
        },
    }  # fmt: skip


async def _time(http: httpx2.AsyncClient, name: str, params: dict[str, object]) -> dict[str, object]:
    times = []
    for number in range(_REQUESTS + 5):
        began = time.perf_counter()
        answer = await http.get(_PATH, params=params)  # type: ignore[arg-type]
        if number >= 5:  # noqa: PLR2004 - the first ones prepare statements
            times.append((time.perf_counter() - began) * 1000)
    page = answer.raise_for_status().json()
    times.sort()
    p50, p95 = round(times[len(times) // 2], 2), round(times[int(len(times) * 0.95)], 2)
    total = f"{page['total']:,}" + ("" if page["total_is_exact"] else "+")
    print(f"{name:<44} {p50:8.2f} {p95:8.2f}  {len(page['executions'])} of {total}", flush=True)
    return {"p50_ms": p50, "p95_ms": p95, "total": page["total"]}


if __name__ == "__main__":
    uvloop.run(main())
