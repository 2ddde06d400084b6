"""The tenant service is away while a server that needs a secret is called."""

import sys
from pathlib import Path
from uuid import UUID

import pytest

from tests.conftest import Backbone
from tests.fixtures.gateway_process import SERVERS, gateway, task
from tests.fixtures.tenant_process import tenant_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

SERVER = str(SERVERS / "secret_server.py")
COMMAND = f"{sys.executable} {SERVER}"
PROGRAM = {
    "server_type": "stdio",
    "command": sys.executable,
    "args": [SERVER],
    "env_vars": {"TOKEN": "{secret.TOKEN}"},
}


async def test_while_the_tenant_service_is_away_trying_again_may_help(backbone: Backbone, tmp_path: Path) -> None:
    async with gateway(backbone, commands=COMMAND) as running:
        tenant = UUID(int=77)
        async with running.client(tenant) as client:
            body = {"name": "x", "slug": "x", **PROGRAM}
            assert (await client.post("/servers", json=body)).status_code == 201
        payload = {"server_id": "x", "tool_name": "seen", "arguments": {}}
        (result,) = await running.ask(task(tenant, payload))
        assert (result["error"]["code"], result["error"]["retryable"]) == ("unavailable", True)
        async with tenant_service(backbone, tmp_path):
            (again,) = await running.ask(task(tenant, payload))
            assert again["error"]["code"] == "secret_not_found"
