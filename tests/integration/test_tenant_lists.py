"""Lists are the newest first, page after page, whatever the ids are."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.conftest import Backbone
from tests.fixtures.tenant_process import PASSWORD, Tenants, tenant_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

COUNT = 9


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tenants]:
    async with tenant_service(backbone, tmp_path_factory.mktemp("tenant")) as tenants:
        yield tenants


async def made(service: Tenants, kind: str, credential: str) -> list[str]:
    """Make some, every second with an id that follows from a key; return their ids, the newest first."""
    ids = []
    for number in range(COUNT):
        person = {"email": f"u{number}@{kind}.test", "password": PASSWORD}
        body: dict[str, object] = {
            "users": {**person, "role": "viewer"},
            "api-keys": {"name": f"k{number}", "scopes": ["mcp:read"]},
            "tenants": {"slug": f"listed-{number}", "name": "Listed", "owner": person},
        }[kind]
        headers = {"Idempotency-Key": f"list {number}"} if number % 2 else {}
        answer = await service.call("POST", kind, credential, json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        ids.append(answer.json()["id"])
    return ids[::-1]


@pytest.mark.parametrize(("kind", "plural"), [("users", "users"), ("api-keys", "api_keys"), ("tenants", "tenants")])
async def test_the_newest_come_first_and_each_once(service: Tenants, kind: str, plural: str) -> None:
    credential = await service.token() if kind == "tenants" else await service.new_tenant(f"list-of-{kind}")
    ids = await made(service, kind, credential)
    assert ids != sorted(ids, reverse=True)
    paged: list[str] = []
    cursor = ""
    while cursor is not None:
        page = (await service.call("GET", f"{kind}?limit=2{cursor and f'&cursor={cursor}'}", credential)).json()
        paged += [row["id"] for row in page[plural]]
        cursor = page["next_cursor"]
    assert paged[:COUNT] == ids
    assert len(paged) == len(set(paged)) == page["total"]
    skipped = (await service.call("GET", f"{kind}?limit=3&offset=2", credential)).json()
    assert [row["id"] for row in skipped[plural]] == ids[2:5]


async def test_a_page_goes_on_where_its_last_row_was_though_that_is_gone(service: Tenants) -> None:
    owner = await service.new_tenant("list-of-gone")
    ids = [await service.new_user(owner, f"u{number}@gone.test", "viewer") for number in range(4)][::-1]
    first = (await service.call("GET", "users?limit=2", owner)).json()
    await service.call("DELETE", f"users/{ids[1]}", owner)
    rest = (await service.call("GET", f"users?limit=2&cursor={first['next_cursor']}", owner)).json()
    assert [row["id"] for row in rest["users"]] == ids[2:]
