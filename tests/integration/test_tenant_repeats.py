"""`Idempotency-Key`: the same request makes one thing; any other request with the key is refused."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from tests.conftest import Backbone
from tests.fixtures.tenant_process import PASSWORD, Tenants, tenant_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

USER = {"email": "dev@repeats.test", "password": PASSWORD, "role": "developer"}
KEY = {"name": "ci", "scopes": ["mcp:read", "rag:read"], "expires_at": None}
OWNER = {"email": "owner@made-once.test", "password": PASSWORD}
TENANT = {"slug": "made-once", "name": "Once", "plan": "team", "owner": OWNER}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tenants]:
    async with tenant_service(backbone, tmp_path_factory.mktemp("tenant")) as tenants:
        yield tenants


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def owner(service: Tenants) -> str:
    return await service.new_tenant("repeats")


async def post(service: Tenants, path: str, credential: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    headers = {"Idempotency-Key": f"the {path}"}
    answer = await service.call("POST", path, credential, json=body, headers=headers)
    return answer.status_code, answer.json()


async def credential_for(service: Tenants, path: str, owner: str) -> str:
    return await service.token() if path == "tenants" else owner


@pytest.mark.parametrize(
    ("path", "body", "changes"),
    [
        ("users", USER, [{"email": "x@repeats.test"}, {"password": "another password"}, {"role": "viewer"}]),
        ("api-keys", KEY, [{"name": "cd"}, {"scopes": ["mcp:read"]}, {"expires_at": "2999-01-01T00:00:00Z"}]),
        (
            "tenants",
            TENANT,
            [
                {"slug": "made-twice"},
                {"name": "Twice"},
                {"plan": "free"},
                {"owner": {**OWNER, "email": "x@made-once.test"}},
                {"owner": {**OWNER, "password": "another password"}},
            ],
        ),
    ],
)
async def test_a_key_stands_for_all_that_the_request_said(
    service: Tenants, owner: str, path: str, body: dict[str, Any], changes: list[dict[str, Any]]
) -> None:
    by = await credential_for(service, path, owner)
    status, made = await post(service, path, by, body)
    assert status == 201
    again = await post(service, path, by, dict(reversed(body.items())))
    assert again == (201, made) if path != "api-keys" else (again[0], again[1]["code"]) == (409, "already_shown")
    for change in changes:
        status, refusal = await post(service, path, by, {**body, **change})
        assert (status, refusal["code"]) == (422, "idempotency_key_reused"), change


async def test_at_the_same_time_it_makes_one_thing(service: Tenants, owner: str) -> None:
    body = {"email": "twin@repeats.test", "password": PASSWORD, "role": "viewer"}
    headers = {"Idempotency-Key": "twins"}
    answers = await asyncio.gather(
        *(service.call("POST", "users", owner, json=body, headers=headers) for _ in range(4))
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert (await service.call("POST", "users", owner, json=body, headers=headers)).status_code == 201


async def test_what_was_deleted_since_is_not_made_again(service: Tenants, owner: str) -> None:
    body = {"email": "gone@repeats.test", "password": PASSWORD, "role": "viewer"}
    headers = {"Idempotency-Key": "gone"}
    made = await service.call("POST", "users", owner, json=body, headers=headers)
    assert (await service.call("DELETE", f"users/{made.json()['id']}", owner)).status_code == 204
    again = await service.call("POST", "users", owner, json=body, headers=headers)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


async def test_what_is_kept_of_a_request_tells_nothing_and_stays_in_its_tenant(service: Tenants, owner: str) -> None:
    assert (await post(service, "users", owner, USER))[0] == 201
    serving = await asyncpg.connect(service.backbone.serving_dsn("tenant"))
    assert await serving.fetchval("SELECT count(*) FROM requests") == 0
    await serving.close()
    worker = await asyncpg.connect(service.backbone.working_dsn("tenant"))
    rows = await worker.fetch("SELECT digest FROM requests")
    assert rows
    assert {len(row["digest"]) for row in rows} == {32}
    await worker.close()
