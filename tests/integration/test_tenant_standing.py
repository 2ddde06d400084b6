"""Suspended tenants and users, and retired keys, as an administrator sets them in the database."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import msgspec
import pytest
import pytest_asyncio

from shared.auth.operator import sign_issue_token
from tests.conftest import Backbone
from tests.fixtures.tenant_process import DEMO, PASSWORD, Tenants, greeting_of, tenant_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

REFUSED = b"-ERR 'Authorization Violation'\r\n"
TENANT_STATUS = "UPDATE tenant.tenants SET status = $2 WHERE slug = $1"
USER_STATUS = "UPDATE tenant.users SET status = $2 WHERE email = $1"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tenants]:
    async with tenant_service(backbone, tmp_path_factory.mktemp("tenant")) as tenants:
        yield tenants


async def logs_in(service: Tenants, email: str) -> bool:
    answer = await service.http.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})
    return answer.status_code == 200


async def is_verified(service: Tenants, key: str) -> bool:
    workflow = await service.nats_as("workflow")
    answer = await workflow.request("queries.tenant.verify-api-key", key.encode(), timeout=15)
    await workflow.close()
    return "verified" in json.loads(answer.data)


async def operators_answer(service: Tenants, slug: str) -> str:
    """Return the code of the refusal, or `ok`."""
    operator = await service.nats_as("operator")
    command = msgspec.json.encode(sign_issue_token(service.backbone.nats_seed(), slug))
    answer = json.loads((await operator.request("commands.tenant.issue-token", command, timeout=15)).data)
    await operator.close()
    return str(answer["error"]["code"]) if "error" in answer else "ok"


async def test_a_suspended_tenant_is_refused_everywhere_until_it_is_resumed(service: Tenants) -> None:
    owner = await service.new_tenant("suspended")
    key = (await service.new_key(owner, ["workflows:read", "tenants:admin"]))["key"]
    email, credentials = "owner@suspended.test", (owner, key)
    for status, good in (("active", True), ("suspended", False), ("active", True)):
        await service.execute(TENANT_STATUS, "suspended", status)
        assert await logs_in(service, email) is good
        assert await is_verified(service, key) is good
        assert await operators_answer(service, "suspended") == ("ok" if good else "not_found")
        for credential in credentials:
            for path in ("auth/me", "users", "tenants", "api-keys"):
                assert (await service.call("GET", path, credential)).status_code == (200 if good else 401)
            body = {"name": "made", "scopes": ["tenants:admin"]}
            made = await service.call("POST", "api-keys", credential, json=body)
            assert made.status_code == (201 if good else 401)
            assert (await greeting_of(service.backbone, credential) == REFUSED) is not good


async def test_a_suspended_user_is_refused_everywhere_and_others_are_not(service: Tenants) -> None:
    owner = await service.new_tenant("half-suspended")
    await service.new_user(owner, "admin@half-suspended.test", "admin")
    token = await service.token("admin@half-suspended.test")
    for status, good in (("suspended", False), ("active", True)):
        await service.execute(USER_STATUS, "admin@half-suspended.test", status)
        assert await logs_in(service, "admin@half-suspended.test") is good
        assert (await service.call("GET", "users", token)).status_code == (200 if good else 401)
        assert (await greeting_of(service.backbone, token) == REFUSED) is not good
        assert (await service.call("GET", "users", owner)).status_code == 200


async def test_a_suspended_owner_does_not_count_as_the_one_that_stays(service: Tenants) -> None:
    owner = await service.new_tenant("two-owners")
    await service.new_user(owner, "second@two-owners.test", "owner")
    await service.execute(USER_STATUS, "second@two-owners.test", "suspended")
    me = (await service.call("GET", "auth/me", owner)).json()["actor"].removeprefix("user:")
    assert (await service.call("DELETE", f"users/{me}", owner)).status_code == 409


async def test_an_expired_key_is_refused_though_it_was_verified_just_before(service: Tenants) -> None:
    owner = await service.new_tenant("expiring")
    made = await service.new_key(owner, ["tenants:admin"])
    assert (await service.call("GET", "users", made["key"])).status_code == 200
    await service.execute("UPDATE tenant.api_keys SET expires_at = now() WHERE id = $1::text::uuid", made["id"])
    assert (await service.call("GET", "users", made["key"])).status_code == 401


async def test_the_service_starts_also_where_the_demo_tenant_is_suspended(service: Tenants, tmp_path: Path) -> None:
    await service.execute(TENANT_STATUS, "demo", "suspended")
    try:
        async with tenant_service(service.backbone, tmp_path / "another") as another:
            assert not await logs_in(another, "admin@demo.local")
    finally:
        await service.execute(TENANT_STATUS, "demo", "active")


async def test_a_retired_key_signs_no_more_and_is_published_while_its_tokens_live(service: Tenants) -> None:
    async def published() -> set[str]:
        return {key["kid"] for key in (await service.http.get("/.well-known/jwks.json")).json()["keys"]}

    old_token = await service.token()
    old = jwt.get_unverified_header(old_token)["kid"]
    await service.execute("UPDATE tenant.signing_keys SET retired_at = now() WHERE kid = $1", old)
    new_token = await service.token()
    new = jwt.get_unverified_header(new_token)["kid"]
    assert new != old
    assert {old, new} <= await published()
    for token in (old_token, new_token):
        assert (await service.call("GET", "auth/me", token)).json()["tenant_id"] == str(DEMO)
    await service.execute("UPDATE tenant.signing_keys SET retired_at = now() - interval '25 h' WHERE kid = $1", old)
    assert new in await published()
    assert old not in await published()
