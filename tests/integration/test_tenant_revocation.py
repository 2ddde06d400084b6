"""What is revoked is refused: at once where that was done, in every other process as soon as it is said."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio
from nats.aio.client import Client

from shared.auth.remote import RemoteAuthority
from shared.auth.revocations import listen_to_revocations
from shared.auth.verifier import Verifier
from shared.errors import Unauthenticated
from tests.conftest import Backbone
from tests.fixtures.tenant_process import Tenants, tenant_service

pytestmark = pytest.mark.asyncio(loop_scope="session")
SOON_S = 1.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def replicas(
    backbone: Backbone, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Tenants, Tenants]]:
    folder = tmp_path_factory.mktemp("tenants")
    async with tenant_service(backbone, folder / "one") as one, tenant_service(backbone, folder / "two") as two:
        yield one, two


@pytest_asyncio.fixture(loop_scope="session")
async def elsewhere(replicas: tuple[Tenants, Tenants]) -> AsyncIterator[tuple[Verifier, Client]]:
    """The verifier of another service, and its connection."""
    client = await replicas[0].nats_as("workflow")
    verifier = Verifier(RemoteAuthority(lambda: client))
    listening = asyncio.create_task(listen_to_revocations(client, verifier))
    yield verifier, client
    listening.cancel()
    await client.close()


async def seconds_until(happened: Callable[[], Awaitable[bool]]) -> float:
    began = time.monotonic()
    async with asyncio.timeout(10):
        while not await happened():
            await asyncio.sleep(0.01)
    return time.monotonic() - began


async def refuses(verifier: Verifier, credential: str) -> bool:
    try:
        await verifier.verify(credential)
    except Unauthenticated:
        return True
    return False


async def test_a_revoked_key_is_refused_at_once_by_every_replica_and_makes_no_successor(
    replicas: tuple[Tenants, Tenants],
) -> None:
    one, two = replicas
    owner = await one.new_tenant("revoked-keys")
    made = await one.new_key(owner, ["tenants:admin", "mcp:read"])
    for replica in replicas:
        assert (await replica.call("GET", "auth/me", made["key"])).status_code == 200
    assert (await one.call("DELETE", f"api-keys/{made['id']}", owner)).status_code == 204
    successor = {"name": "successor", "scopes": ["mcp:read"]}
    for replica in (two, one):
        assert (await replica.call("POST", "api-keys", made["key"], json=successor)).status_code == 401
        assert (await replica.call("GET", "auth/me", made["key"])).status_code == 401
    listed = (await one.call("GET", "api-keys", owner)).json()["api_keys"]
    assert [key["name"] for key in listed] == ["test"]


async def test_a_deleted_user_is_refused_at_once_by_every_replica(replicas: tuple[Tenants, Tenants]) -> None:
    one, two = replicas
    owner = await one.new_tenant("deleted-users")
    user_id = await one.new_user(owner, "admin@deleted-users.test", "admin")
    token = await one.token("admin@deleted-users.test")
    for replica in replicas:
        assert (await replica.call("GET", "users", token)).status_code == 200
    assert (await one.call("DELETE", f"users/{user_id}", owner)).status_code == 204
    for replica in (two, one):
        assert (await replica.call("GET", "users", token)).status_code == 401


@pytest.mark.parametrize("kind", ["key", "token"])
async def test_another_service_refuses_it_within_a_second(
    replicas: tuple[Tenants, Tenants], elsewhere: tuple[Verifier, Client], kind: str
) -> None:
    one, _ = replicas
    verifier, _ = elsewhere
    owner = await one.new_tenant(f"heard-{kind}")
    if kind == "key":
        made = await one.new_key(owner, ["mcp:read"])
        credential, path = made["key"], f"api-keys/{made['id']}"
    else:
        path = f"users/{await one.new_user(owner, 'dev@heard.test', 'developer')}"
        credential = await one.token("dev@heard.test")
    assert not await refuses(verifier, credential)
    assert (await one.call("DELETE", path, owner)).status_code == 204
    assert await seconds_until(lambda: refuses(verifier, credential)) < SOON_S


async def test_what_was_revoked_while_a_service_was_away_is_made_up_for(
    replicas: tuple[Tenants, Tenants], elsewhere: tuple[Verifier, Client]
) -> None:
    one, _ = replicas
    verifier, client = elsewhere
    owner = await one.new_tenant("away")
    user_id = await one.new_user(owner, "dev@away.test", "developer")
    token = await one.token("dev@away.test")
    deaf = Verifier(RemoteAuthority(lambda: client))
    assert not await refuses(deaf, token)
    assert (await one.call("DELETE", f"users/{user_id}", owner)).status_code == 204
    assert await seconds_until(lambda: refuses(verifier, token)) < SOON_S
    assert not await refuses(deaf, token)  # it heard nothing, and a token says nothing of it
    listening = asyncio.create_task(listen_to_revocations(client, deaf))
    assert await seconds_until(lambda: refuses(deaf, token)) < SOON_S
    listening.cancel()
