"""A platform with the upstream registered, a key that may call it, and a look at what it has recorded."""

import asyncio
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg
import httpx2

from bench.processes import cpu_seconds, own_cpu_seconds
from infra.cli.tokens import issue_token
from infra.local.options import Options, ServiceProgram
from infra.local.platform import Platform
from shared.db.queries import load_queries

UPSTREAM = str(Path(__file__).with_name("upstream.py"))
OVER_STDIO, OVER_HTTP = "bench", "bench-http"
_SERVICES = ("tenant", "mcp_gateway")
_SETTLE_S = 120.0
_sql = load_queries(Path(__file__).with_name("recorded.sql"))


class NotRecorded(Exception):
    """Calls were answered and are not all on disk, or not all told to others."""


class GatewayPlatform:
    """Use as a context manager."""

    def __init__(self, folder: Path, upstream_port: int) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AGENTIC_")}
        inherited["AGENTIC_MCP_GATEWAY_COMMANDS"] = f"{sys.executable} {UPSTREAM}"
        inherited["AGENTIC_ALLOWED_HOSTS"] = f"127.0.0.1:{upstream_port}"
        programs = tuple(ServiceProgram(s, f"services.{s}.__main__", (f"services.{s}.bootstrap",)) for s in _SERVICES)
        self._platform = Platform(Options(folder, programs=programs, environment=inherited))
        self._upstream_url = f"http://127.0.0.1:{upstream_port}/mcp"
        self.socket = str(folder / "run" / "mcp_gateway.sock")
        self.key = self.tenant_id = ""
        self.calls_expected = 0

    async def __aenter__(self) -> Self:
        await self._platform.start()
        try:
            await self._furnish()
            self._admin = await asyncpg.connect(self._platform.postgres_admin_dsn)
        except BaseException:
            await self._platform.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._admin.close()
        await self._platform.stop()

    @property
    def seed(self) -> str:
        """The operator's nkey seed."""
        return str(self._platform.operator_seed)

    @property
    def nats_address(self) -> str:
        return self._platform.nats_url.rpartition("//")[2]

    @property
    def edge_address(self) -> str:
        return f"127.0.0.1:{self._platform.url.rpartition(':')[2]}"

    @property
    def gateway_pid(self) -> int:
        return self._platform.pids()["mcp_gateway"]

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds so far of each part. `servers` are the MCP servers that the gateway started."""
        pids = self._platform.pids()
        whole = cpu_seconds({name: pids[name] for name in ("mcp_gateway", "postgres", "nats", "edge")})
        own = own_cpu_seconds(pids["mcp_gateway"])
        return {
            "gateway": own,
            "servers": whole["mcp_gateway"] - own,
            **{name: whole[name] for name in ("postgres", "nats", "edge")},
        }

    async def recorded(self) -> dict[str, int]:
        """Return how many calls are on disk: by their events, by the rows of the history, and by the counters."""
        return dict(await self._admin.fetchrow(_sql.recorded))

    async def settled(self, calls: int) -> None:
        """Return when so many more calls are on disk and the facts of them with others. Raises `NotRecorded`."""
        self.calls_expected += calls
        try:
            async with asyncio.timeout(_SETTLE_S):
                while (await self.recorded())["ends"] < self.calls_expected:
                    await asyncio.sleep(0.05)
                while not await self._admin.fetchval(_sql.relayed):
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            missing = f"{self.calls_expected} calls were answered; on disk: {await self.recorded()}"
            raise NotRecorded(missing) from error

    async def _furnish(self) -> None:
        token = (await issue_token(self._platform.nats_url, self.seed, "demo")).access_token
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{self._platform.url}/api/v1"
        async with httpx2.AsyncClient(base_url=url, headers=headers, trust_env=False) as http:
            self.tenant_id = (await http.get("/auth/me")).raise_for_status().json()["tenant_id"]
            key = {"name": "bench", "scopes": ["mcp:read", "mcp:execute"]}
            self.key = (await http.post("/api-keys", json=key)).raise_for_status().json()["key"]
            stdio = {"server_type": "stdio", "command": sys.executable, "args": [UPSTREAM]}
            for slug, how in (
                (OVER_STDIO, stdio),
                (OVER_HTTP, {"server_type": "streamable_http", "url": self._upstream_url}),
            ):
                await self._register(http, {"name": slug, "slug": slug, **how})

    async def _register(self, http: httpx2.AsyncClient, server: dict[str, Any]) -> None:
        (await http.post("/mcp/servers", json=server)).raise_for_status()
