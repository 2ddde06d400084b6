"""Secrets as they lie in the database: changed, swapped, erased, and under another master key."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import pytest
import pytest_asyncio

from services.tenant.adapters.registry import PostgresRegistry
from services.tenant.adapters.secret_keys import Wrapping, derive
from services.tenant.adapters.secrets import PostgresSecrets
from services.tenant.app.secrets import Secrets
from services.tenant.bootstrap import _now
from shared.db.pool import TenantPool
from shared.eventstore.postgres import PostgresEventReader
from shared.scope import TenantScope
from shared.secrets.errors import SecretNotFound, SecretsUnavailable
from shared.secrets.remote import RemoteSecrets
from tests.conftest import Backbone
from tests.fixtures.secret_readers import secrets_as
from tests.fixtures.tenant_process import DEMO, Tenants, tenant_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

OLD, NEW = "5a" * 32, "6b" * 32
CIPHERTEXT = "SELECT ciphertext FROM tenant.secrets WHERE tenant_id = $1 AND name = $2"
PUT_CIPHERTEXT = "UPDATE tenant.secrets SET ciphertext = $3 WHERE tenant_id = $1 AND name = $2"


@pytest_asyncio.fixture(loop_scope="session")
async def admin(backbone: Backbone) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(backbone.admin_dsn)
    yield connection
    await connection.close()


async def tenant_with(service: Tenants, slug: str, **secrets: str) -> tuple[str, UUID]:
    owner = await service.new_tenant(slug)
    await put(service, owner, **secrets)
    return owner, UUID((await service.call("GET", "auth/me", owner)).json()["tenant_id"])


async def put(service: Tenants, owner: str, **secrets: str) -> None:
    for name, value in secrets.items():
        answer = await service.call("POST", "secrets", owner, json={"name": name, "value": value})
        assert answer.status_code == 201, answer.text


async def read(remote: RemoteSecrets, tenant: UUID, name: str) -> str | None:
    """Return what the tenant service says now."""
    remote.forget(tenant)
    try:
        return (await remote.resolve(tenant, [name]))[name]
    except SecretNotFound:
        return None


async def test_what_was_changed_or_put_elsewhere_does_not_decrypt(
    backbone: Backbone, tmp_path: Path, admin: "asyncpg.Connection[Any]"
) -> None:
    async with tenant_service(backbone, tmp_path) as service, secrets_as(backbone) as remote:
        owner, mine = await tenant_with(service, "storage-a", A="first", B="second")
        _, theirs = await tenant_with(service, "storage-b", A="another's")
        stored = {
            (tenant, name): await admin.fetchval(CIPHERTEXT, tenant, name)
            for tenant, name in ((mine, "A"), (mine, "B"), (theirs, "A"))
        }
        assert b"first" not in stored[mine, "A"]

        async def with_a(ciphertext: bytes) -> str | None:
            await admin.execute(PUT_CIPHERTEXT, mine, "A", ciphertext)
            return await read(remote, mine, "A")

        good = stored[mine, "A"]
        assert await with_a(good) == "first"
        for place in (0, len(good) // 2, len(good) - 1):
            assert await with_a(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :]) is None
        for other in (b"", good[:5], good[:-1], stored[mine, "B"], stored[theirs, "A"]):
            assert await with_a(other) is None
        assert await read(remote, mine, "B") == "second", "one that does not decrypt hides no other"
        assert await with_a(good) == "first"

        # The other tenant's data key in this one's row: it is wrapped for that tenant's name.
        keys = dict(await admin.fetch("SELECT tenant_id, wrapped_key FROM tenant.data_keys"))
        swap = "UPDATE tenant.data_keys SET wrapped_key = $2 WHERE tenant_id = $1"
        await admin.execute(swap, mine, keys[theirs])
        with pytest.raises(SecretsUnavailable, match="AGENTIC_TENANT_MASTER_KEY"):
            await read(remote, mine, "A")
        await admin.execute(swap, mine, keys[mine])

        # An earlier value put back under the number of the one that replaced it.
        await put(service, owner, A="third")
        assert await with_a(good) is None
        await put(service, owner, A="fourth")
        assert await read(remote, mine, "A") == "fourth"
    assert "does not decrypt" in (tmp_path / "log").read_text()


async def test_one_login_sees_one_tenants_rows(backbone: Backbone, tmp_path: Path) -> None:
    async with tenant_service(backbone, tmp_path) as service:
        _, mine = await tenant_with(service, "storage-rows", A="a")
        serving = await asyncpg.connect(backbone.serving_dsn("tenant"))
        working = await asyncpg.connect(backbone.working_dsn("tenant"))
        try:
            for table in ("secrets", "data_keys"):
                assert await serving.fetch(f"SELECT tenant_id FROM tenant.{table}") == []
                await serving.execute("SELECT set_config('app.tenant_id', $1, false)", str(DEMO))
                seen = {row[0] for row in await serving.fetch(f"SELECT tenant_id FROM tenant.{table}")}
                assert mine not in seen
                await serving.execute("SELECT set_config('app.tenant_id', '', false)")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await working.fetch("SELECT ciphertext FROM tenant.secrets")
        finally:
            await serving.close()
            await working.close()


async def test_an_erased_tenant_leaves_nothing_that_can_be_read(
    backbone: Backbone, tmp_path: Path, admin: "asyncpg.Connection[Any]"
) -> None:
    async with tenant_service(backbone, tmp_path) as service, secrets_as(backbone) as remote:
        owner, mine = await tenant_with(service, "storage-erased", A="a", B="b")
        _, others = await tenant_with(service, "storage-kept", A="a")
        kept = await admin.fetch("SELECT * FROM tenant.secrets WHERE tenant_id = $1", mine)
        pool = await asyncpg.create_pool(backbone.serving_dsn("tenant"), min_size=1, max_size=3)
        tenants = TenantPool(pool)
        wrapping = Wrapping(derive(bytes.fromhex(OLD), "data-keys"))
        registry = PostgresRegistry(tenants, PostgresEventReader(tenants), lambda: None)
        secrets = Secrets(PostgresSecrets(tenants, wrapping, lambda: None), registry, _now)
        await secrets.erase(TenantScope(mine, "system"))
        await tenants.close()
        assert await read(remote, mine, "A") is None
        assert (await service.call("GET", "secrets", owner)).json()["total"] == 0
        assert await read(remote, others, "A") == "a"

        # A copy of the rows that somebody kept is of no use, with a new data key either.
        await put(service, owner, C="c")
        columns = ", ".join(f"${number}" for number in range(1, len(kept[0]) + 1))
        for row in kept:
            await admin.execute(f"INSERT INTO tenant.secrets VALUES ({columns})", *row.values())
        assert [await read(remote, mine, name) for name in ("A", "B", "C")] == [None, None, "c"]


async def test_a_restart_and_a_new_master_key_lose_nothing(
    backbone: Backbone, tmp_path: Path, admin: "asyncpg.Connection[Any]"
) -> None:
    async with tenant_service(backbone, tmp_path / "1") as service:
        owner, mine = await tenant_with(service, "storage-rotated", A="before")
        key = (await service.new_key(owner, ["tenants:admin"]))["key"]
    file = tmp_path / "keys"
    wrapped = "SELECT wrapped_key FROM tenant.data_keys WHERE tenant_id = $1"
    try:
        before = await admin.fetchval(wrapped, mine)
        # Known beside the one in use, so that replicas can be restarted one by one; then in use; then the only one.
        for number, keys in enumerate(((OLD, NEW), (NEW, OLD), (NEW,)), start=2):
            file.write_text("\n".join(keys) + "\n")
            settings = {"AGENTIC_TENANT_MASTER_KEY": "", "AGENTIC_TENANT_MASTER_KEY_FILE": str(file)}
            async with (
                tenant_service(backbone, tmp_path / str(number), **settings) as service,
                secrets_as(backbone) as remote,
            ):
                assert (await admin.fetchval(wrapped, mine) != before) is (keys[0] == NEW)
                assert await read(remote, mine, "A") == "before"
                assert (await service.call("GET", "secrets", owner)).status_code == 200, "tokens stay good"
                assert (await service.call("GET", "secrets", key)).status_code == 200, "a key that was used stays good"
                await put(service, key, B=f"with {number}")
                assert await read(remote, mine, "B") == f"with {number}"
    finally:
        async with tenant_service(backbone, tmp_path / "back", AGENTIC_TENANT_MASTER_KEY=f"{OLD},{NEW}") as service:
            assert (await service.call("GET", "secrets", key)).status_code == 200
    assert NEW not in (tmp_path / "back" / "log").read_text()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def signed(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> None:
    """There is a signing key, under the right master key."""
    async with tenant_service(backbone, tmp_path_factory.mktemp("signed")):
        pass


@pytest.mark.usefixtures("signed")
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"AGENTIC_TENANT_MASTER_KEY": "7c" * 32}, "is the one that this database's keys are wrapped with"),
        ({"AGENTIC_TENANT_MASTER_KEY": ""}, "Set either AGENTIC_TENANT_MASTER_KEY or AGENTIC_TENANT_MASTER_KEY_FILE"),
        ({"AGENTIC_TENANT_MASTER_KEY": "5a" * 31}, "64 hexadecimal digits"),
        ({"AGENTIC_TENANT_MASTER_KEY_FILE": "/nowhere"}, "Set either"),
        ({"AGENTIC_TENANT_MASTER_KEY": "", "AGENTIC_TENANT_MASTER_KEY_FILE": "/nowhere"}, "cannot be read"),
        ({"AGENTIC_TENANT_SECRETS_READERS": "UABC"}, "AGENTIC_TENANT_SECRETS_READERS is no public nkey"),
    ],
)
async def test_a_bad_key_is_said_at_the_start(
    backbone: Backbone, tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    with pytest.raises((AssertionError, httpx2.TransportError)):
        async with tenant_service(backbone, tmp_path, **settings):
            pass
    log = (tmp_path / "log").read_text()
    assert said in log
    for value in settings.values():
        assert len(value) < 60 or value not in log
