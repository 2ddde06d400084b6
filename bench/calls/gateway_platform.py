"""A platform with the upstream registered and a key that may call it.

`python -m bench.calls.gateway_platform PORT` serves one until stdin ends, and says where everything is in JSON. PORT is
that of the upstream over HTTP.
"""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import uvloop

from bench.calls.served import Served
from bench.calls.ways import OVER_HTTP, OVER_STDIO
from infra.cli.tokens import issue_token
from infra.local.options import Options, ServiceProgram
from infra.local.platform import Platform

UPSTREAM = str(Path(__file__).with_name("upstream.py"))
_SERVICES = ("tenant", "mcp_gateway")
_COUNTED = ("mcp_gateway", "postgres", "nats", "edge")


@asynccontextmanager
async def gateway_platform(upstream_port: int) -> AsyncIterator[Served]:
    """Start a platform in a folder of its own, and remove both in the end."""
    folder = Path(tempfile.mkdtemp(prefix="agentic-bench-", dir="/tmp"))
    folder.chmod(0o755)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AGENTIC_")}
    inherited["AGENTIC_MCP_GATEWAY_COMMANDS"] = f"{sys.executable} {UPSTREAM}"
    inherited["AGENTIC_ALLOWED_HOSTS"] = f"127.0.0.1:{upstream_port}"
    programs = tuple(ServiceProgram(s, f"services.{s}.__main__", (f"services.{s}.bootstrap",)) for s in _SERVICES)
    try:
        async with Platform(Options(folder / "data", programs=programs, environment=inherited)) as platform:
            yield await _furnished(platform, folder / "data", f"http://127.0.0.1:{upstream_port}/mcp")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _furnished(platform: Platform, folder: Path, upstream_url: str) -> Served:
    token = (await issue_token(platform.nats_url, str(platform.operator_seed), "demo")).access_token
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=f"{platform.url}/api/v1", headers=headers, trust_env=False) as http:
        key = {"name": "bench", "scopes": ["mcp:read", "mcp:execute"]}
        stdio = {"server_type": "stdio", "command": sys.executable, "args": [UPSTREAM]}
        await _register(http, OVER_STDIO, stdio)
        await _register(http, OVER_HTTP, {"server_type": "streamable_http", "url": upstream_url})
        pids = platform.pids()
        return Served(
            socket=str(folder / "run" / "mcp_gateway.sock"),
            edge_address=f"127.0.0.1:{platform.url.rpartition(':')[2]}",
            nats_address=platform.nats_url.rpartition("//")[2],
            operator_seed=str(platform.operator_seed),
            admin_dsn=platform.postgres_admin_dsn,
            key=(await http.post("/api-keys", json=key)).raise_for_status().json()["key"],
            tenant_id=(await http.get("/auth/me")).raise_for_status().json()["tenant_id"],
            pids={name: pids[name] for name in _COUNTED},
        )


async def _register(http: httpx2.AsyncClient, slug: str, how: dict[str, Any]) -> None:
    (await http.post("/mcp/servers", json={"name": slug, "slug": slug, **how})).raise_for_status()


async def _serve(upstream_port: int) -> None:
    async with gateway_platform(upstream_port) as served:
        print(msgspec.json.encode(served).decode(), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
