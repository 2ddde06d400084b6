"""Servers that want OAuth, through the gateway: real services, a real authorization server, real HTTP."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
import pytest_asyncio

from tests.conftest import Backbone
from tests.fixtures.gateway_process import SERVERS, Running, free_port, gateway
from tests.fixtures.tenant_process import Tenants, tenant_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "what-the-authorization-server-knows"


class Scene:
    """A gateway, a tenant service with a tenant's owner, and a protected server elsewhere."""

    def __init__(self, running: Running, tenants: Tenants, owner: str, server: str) -> None:
        self.tenants = tenants
        self.owner = owner
        self.server = server
        self.client = httpx2.AsyncClient(
            base_url=f"{running.url}/api/v1/mcp",
            headers={"Authorization": f"Bearer {owner}"},
            timeout=30,
            trust_env=False,
        )

    async def put(self, name: str, value: str) -> None:
        answer = await self.tenants.call("POST", "secrets", self.owner, json={"name": name, "value": value})
        assert answer.status_code == 201, answer.text

    def definition(self, slug: str, **auth: Any) -> dict[str, Any]:
        named = {
            "type": "oauth_client_credentials",
            "issuer": self.server,
            "client_id": "us",
            "client_secret": "{secret.CLIENT}",
            **auth,
        }
        config = {"auth": named}
        return {
            "name": slug,
            "slug": slug,
            "server_type": "streamable_http",
            "url": f"{self.server}/mcp",
            "config": config,
        }

    async def register(self, slug: str, **auth: Any) -> httpx2.Response:
        return await self.client.post("/servers", json=self.definition(slug, **auth))

    async def call(self, slug: str) -> dict[str, Any]:
        body = {"server_id": slug, "tool_name": "test_simple_text"}
        said: dict[str, Any] = (await self.client.post("/execute", json=body)).json()
        return said

    async def granted(self) -> int:
        count: int = (await self.client.get(f"{self.server}/granted")).json()
        return count


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("oauth")
    port = free_port()
    process = psutil.Popen([sys.executable, "-W", "ignore", str(SERVERS / "protected.py"), str(port), SECRET])
    server = f"http://127.0.0.1:{port}"
    allowed = f"127.0.0.1:{port}"
    try:
        async with (
            tenant_service(backbone, folder / "tenant") as tenants,
            gateway(backbone, allowed_hosts=allowed, authority=False, log=folder / "log") as running,
        ):
            scene = Scene(running, tenants, await tenants.new_tenant("gateway-oauth"), server)
            await scene.put("CLIENT", SECRET)
            async with scene.client:
                await _serves(scene, process)
                yield scene
        assert SECRET not in (folder / "log").read_text()
    finally:
        process.kill()
        process.wait()


async def _serves(scene: Scene, process: psutil.Popen) -> None:
    async with asyncio.timeout(30):
        while True:
            assert process.is_running()
            try:
                await scene.granted()
            except httpx2.ConnectError:
                await asyncio.sleep(0.05)
            else:
                return


async def test_the_gateway_gets_access_and_gets_it_anew_when_it_ends(scene: Scene) -> None:
    assert (await scene.register("protected")).status_code == 201
    said = await scene.call("protected")
    assert said["status"] == "completed", said
    first = await scene.granted()
    assert (await scene.call("protected"))["status"] == "completed"
    assert await scene.granted() == first
    async with asyncio.timeout(30):
        while await scene.granted() == first:
            assert (await scene.call("protected"))["status"] == "completed"
            await asyncio.sleep(0.2)


async def test_many_calls_at_once_need_one_token(scene: Scene) -> None:
    assert (await scene.register("crowded")).status_code == 201
    before = await scene.granted()
    said = await asyncio.gather(*(scene.call("crowded") for _ in range(20)))
    assert {each["status"] for each in said} == {"completed"}
    assert await scene.granted() - before < 4  # tokens are good for two seconds


async def test_what_is_stored_and_shown_is_the_reference(scene: Scene) -> None:
    assert (await scene.register("shown")).status_code == 201
    shown = (await scene.client.get("/servers/shown")).json()
    assert shown["config"]["auth"]["client_secret"] == "{secret.CLIENT}"
    assert SECRET not in json.dumps(shown)


async def test_a_wrong_secret_says_so_and_not_what_it_was(scene: Scene) -> None:
    await scene.put("WRONG", "not-what-it-knows")
    assert (await scene.register("wrong", client_secret="{secret.WRONG}")).status_code == 201
    said = await scene.call("wrong")
    assert said["status"] != "completed"
    assert "not-what-it-knows" not in json.dumps(said)
    assert "access token" in json.dumps(said)


async def test_a_server_that_leads_to_another_authorization_server_gets_nothing(scene: Scene) -> None:
    before = await scene.granted()
    assert (await scene.register("led", issuer="http://login.example")).status_code == 201
    assert "access token" in json.dumps(await scene.call("led"))
    assert await scene.granted() == before


@pytest.mark.parametrize(
    ("auth", "path"),
    [
        ({"client_secret": "in the clear"}, "config.auth.client_secret"),
        ({"client_secret": ""}, "config.auth.client_secret"),
        ({"client_id": ""}, "config.auth.client_id"),
        ({"client_id": "{secret.CLIENT}"}, "config.auth.client_id"),
        ({"issuer": "login"}, "config.auth.issuer"),
        ({"issuer": "https://user@login.example"}, "config.auth.issuer"),
    ],
)
async def test_what_cannot_be_is_refused(scene: Scene, auth: dict[str, str], path: str) -> None:
    answer = await scene.register("refused", **auth)
    assert answer.status_code == 422
    assert path in json.dumps(answer.json())


async def test_only_a_server_by_streamable_http_has_it(scene: Scene) -> None:
    definition = scene.definition("elsewhere") | {"server_type": "sse"}
    answer = await scene.client.post("/servers", json=definition)
    assert answer.status_code == 422, answer.text
