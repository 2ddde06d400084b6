"""A whole platform for the tests that come in through HTTP, NATS and the command line only."""

import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import msgspec
import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client

from infra.cli.running import recorded
from infra.cli.tokens import issue_token
from infra.demo.site import Site
from infra.local.options import Options
from infra.local.platform import Platform
from tests.conftest import reachable_folder, remove

FAULT_SERVER = Path(__file__).parents[1] / "fixtures" / "mcp_servers" / "fault_server.py"


class Whole(msgspec.Struct, frozen=True):
    """A running platform, its data directory, and the site that it may fetch from."""

    platform: Platform
    data_dir: Path
    site: Site

    async def token(self, tenant: str = "demo") -> str:
        issued = await issue_token(self.platform.nats_url, self.platform.operator_seed, tenant)
        return issued.access_token

    @asynccontextmanager
    async def client_for(self, tenant: str = "demo") -> AsyncIterator[httpx2.AsyncClient]:
        """Open a client of the tenant with this slug; its paths are those below `/api/v1`."""
        headers = {"Authorization": f"Bearer {await self.token(tenant)}"}
        url = f"{self.platform.url}/api/v1"
        async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30, trust_env=False) as client:
            yield client


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def whole_platform(workflow_processes: int = 1) -> AsyncIterator[Whole]:
    """Run a platform with everything in it and a site that it may fetch from."""
    folder = reachable_folder()
    with Site() as site:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AGENTIC_")}
        options = Options(
            data_dir=folder / "data",
            http_port=free_port(),
            workflow_processes=workflow_processes,
            environment={
                **inherited,
                "AGENTIC_ALLOWED_HOSTS": site.host,
                "AGENTIC_MCP_GATEWAY_COMMANDS": f"{sys.executable} {FAULT_SERVER}",
            },
        )
        async with Platform(options) as platform:
            with recorded(platform, options.data_dir):
                yield Whole(platform, options.data_dir, site)
    remove(folder)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def whole() -> AsyncIterator[Whole]:
    async with whole_platform() as whole:
        yield whole


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def demo(whole: Whole) -> AsyncIterator[httpx2.AsyncClient]:
    """The demo tenant's client."""
    async with whole.client_for("demo") as client:
        yield client


@pytest.fixture
def command(whole: Whole) -> dict[str, str]:
    """The environment in which the command line finds the platform."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AGENTIC_")}
    return {**inherited, "AGENTIC_DATA_DIR": str(whole.data_dir)}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def operator(whole: Whole) -> AsyncIterator[Client]:
    """A NATS connection that may do everything."""
    client = await nats.connect(whole.platform.nats_url, nkeys_seed_str=whole.platform.operator_seed)
    yield client
    await client.close()
