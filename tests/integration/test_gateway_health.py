"""Servers that fail: they are left alone, tried again, and what is found of them is told."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import msgspec
import psutil
import pytest
from nats.aio.msg import Msg

from services.mcp_gateway.adapters.launching import Launcher
from services.mcp_gateway.adapters.mcp.place import PoolBounds
from services.mcp_gateway.adapters.mcp.pool import SessionPool
from services.mcp_gateway.adapters.upstreams import PooledUpstreams
from services.mcp_gateway.app.health import HealthChange, Healths
from services.mcp_gateway.app.health_checks import HealthChecks
from services.mcp_gateway.app.policy import Policies, TenantConfigs
from services.mcp_gateway.app.sightings import Listed, Sighting, Sightings
from services.mcp_gateway.app.trust import Trust
from services.mcp_gateway.domain.server import Server, ServerDefinition
from services.mcp_gateway.errors import ToolTimeout
from shared.scope import TenantScope
from tests.conftest import Backbone
from tests.fixtures.gateway_process import SERVERS, gateway
from tests.unit.gateway.call_path import NOW
from tests.unit.gateway.pins_in_memory import PinsInMemory

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCRIPT = str(SERVERS / "counting_server.py")
COMMAND = f"{sys.executable} {SCRIPT}"
COUNTING = {"name": "Counting", "server_type": "stdio", "command": sys.executable, "args": [SCRIPT]}


async def test_a_server_that_dies_again_and_again_is_left_alone_and_tried_again(
    backbone: Backbone, tmp_path: Path
) -> None:
    tenant, file = uuid4(), tmp_path / "calls"
    told: list[tuple[str, dict[str, Any]]] = []

    async def hear(message: Msg) -> None:
        told.append((message.headers["ce-type"], msgspec.json.decode(message.data)))

    async with gateway(backbone, commands=COMMAND) as running, running.client(tenant) as client:
        await running.bus.subscribe(f"events.{tenant}.mcp_gateway.server-health.*", cb=hear)
        server = (await client.post("/servers", json=COUNTING)).json()["id"]

        async def call(deaths: int) -> httpx2.Response:
            body = {"server_id": server, "tool_name": "reads", "tool_input": {"path": str(file), "deaths": deaths}}
            return await client.post("/execute", json=body)

        async def health() -> Any:
            (seen,) = [one for one in (await client.get("/health")).json()["servers"] if one["server_id"] == server]
            return seen

        async with asyncio.timeout(60):
            while (await health())["circuit"] == "closed":
                answer = await call(deaths=1_000)
                assert answer.status_code in {502, 503}
                await asyncio.sleep(0.05)
            calls = file.read_text().count("called")
            assert calls == 5, "as many as a window takes"
            seen = await health()
            assert seen["health_status"] == "unhealthy"
            refused = await call(deaths=0)
            assert (refused.status_code, refused.json()["code"]) == (503, "server_unavailable")
            assert 1 <= int(refused.headers["retry-after"]) <= 5
            assert file.read_text().count("called") == calls, "nothing was sent"
            while (answer := await call(deaths=0)).status_code != 200:
                assert answer.json()["code"] == "server_unavailable"
                await asyncio.sleep(0.1)
            for _ in range(20):
                assert (await call(deaths=0)).status_code == 200
            seen = await health()
            assert (seen["circuit"], seen["health_status"]) == ("closed", "healthy")
            assert seen["latency"]["calls"] == 21
            assert 0 < seen["latency"]["p50_ms"] <= seen["latency"]["p95_ms"] <= seen["latency"]["p99_ms"]
            checked = (await client.post(f"/servers/{server}/health")).json()
            assert (checked["health_status"], checked["latency"]["calls"]) == ("healthy", 21)
            while len(told) < 2:
                await asyncio.sleep(0.05)
        assert [type_ for type_, _ in told] == ["mcp.server-health-changed.v1"] * 2
        unhealthy, healthy = (data for _, data in told)
        assert (unhealthy["server_id"], unhealthy["health_status"], unhealthy["before"], unhealthy["code"]) == (
            server,
            "unhealthy",
            "healthy",
            "server_died",
        )
        assert (healthy["health_status"], healthy["before"]) == ("healthy", "unhealthy")
        async with httpx2.AsyncClient(trust_env=False) as scraper:
            metrics = (await scraper.get(f"{running.url}/metrics")).text
        assert 'agentic_mcp_health_changes_total{health_status="unhealthy"} 1.0' in metrics
        assert "agentic_mcp_servers_left_alone 0.0" in metrics


class Kept:
    """Where sightings go."""

    def __init__(self) -> None:
        self.seen: list[Sighting] = []

    async def save_health(self, _: TenantScope, __: UUID, seen: Sighting) -> None:
        self.seen.append(seen)

    async def save_offer(self, _: TenantScope, __: UUID, ___: Listed) -> None: ...

    async def of_tenant(self, _: TenantScope) -> TenantConfigs:
        return TenantConfigs([])


class Checked:
    """A real server in a real pool, and what is found of it."""

    def __init__(self, folder: Path, bounds: PoolBounds) -> None:
        self.changes: list[HealthChange] = []
        self.kept = Kept()
        healths = Healths(self.changes.append)
        launcher = Launcher([COMMAND], frozenset(), folder)
        self.upstreams = PooledUpstreams(launcher, healths, lambda _, __: None)
        self.upstreams.pool = SessionPool(launcher, bounds, on_start=self.upstreams._started)
        self.checks = HealthChecks(
            self.upstreams,
            Sightings(
                self.upstreams,
                self.upstreams,
                Trust(self.upstreams, PinsInMemory()),
                self.kept,
                Policies(self.kept),
                healths,
            ),
        )
        definition = ServerDefinition("C", "c", "stdio", command=sys.executable, args=(SCRIPT,))
        self.server = Server(uuid4(), uuid4(), definition, "active", 1, 1, NOW, NOW)


@asynccontextmanager
async def checked(folder: Path, bounds: PoolBounds | None = None) -> AsyncIterator[Checked]:
    it = Checked(folder, bounds or PoolBounds())
    async with it.upstreams.pool:
        yield it


async def test_running_servers_are_asked_for_a_sign_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.mcp_gateway.app.sightings.HEALTH_CHECK_SECONDS", 0.3)
    async with checked(tmp_path) as it:
        await it.checks.check_all()
        assert it.kept.seen == [], "nothing runs, and nothing is started for it"
        await it.upstreams.tools(it.server)
        await it.checks.check_all()
        assert [seen.health_status for seen in it.kept.seen] == ["healthy"]
        with pytest.raises(ToolTimeout):
            await it.upstreams.call(it.server, "freeze", {}, 0.3)
        await it.checks.check_all()
        assert [seen.health_status for seen in it.kept.seen] == ["healthy", "unhealthy"]
        assert it.kept.seen[1].error_code == "server_unavailable"
        assert [(change.status, change.code) for change in it.changes] == [("unhealthy", "server_unavailable")]
        for process in psutil.process_iter(["cmdline", "status"]):
            if SCRIPT in (process.info["cmdline"] or []) and process.info["status"] == psutil.STATUS_STOPPED:
                process.resume()
        async with asyncio.timeout(10):
            while it.kept.seen[-1].health_status != "healthy":
                await it.checks.check_all()
        assert [change.status for change in it.changes] == ["unhealthy", "healthy"]


async def test_a_server_that_works_is_not_asked(tmp_path: Path) -> None:
    async with checked(tmp_path) as it:
        await it.upstreams.tools(it.server)
        freezing = asyncio.create_task(it.upstreams.call(it.server, "freeze", {}, 0.5))
        async with asyncio.timeout(5):
            while not (state := it.upstreams.state(it.server)) or not state.in_flight:
                await asyncio.sleep(0)
        assert it.upstreams.resting() == []
        await it.checks.check_all()
        assert it.kept.seen == []
        with pytest.raises(ToolTimeout):
            await freezing


async def test_checks_keep_no_idle_server_alive(tmp_path: Path) -> None:
    async with checked(tmp_path, PoolBounds(idle_s=0.5, reap_interval_s=0.05)) as it:
        await it.upstreams.tools(it.server)
        began = time.monotonic()
        while it.upstreams.resting():
            await it.checks.check_all()
            await asyncio.sleep(0.02)
            assert time.monotonic() - began < 5
        assert {seen.health_status for seen in it.kept.seen} == {"healthy"}
        assert it.changes == []
