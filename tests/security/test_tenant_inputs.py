"""What no honest client sends to the tenant service: refused with a 4xx, never a 500, and nothing is made."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
import pytest_asyncio

from tests.conftest import Backbone
from tests.fixtures.tenant_process import PASSWORD, Tenants, tenant_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

REFUSED = (400, 422)
LISTS = ("users", "tenants", "api-keys", "secrets")
INT4, INT8 = 2**31, 2**63
LONG = "x" * 100_000
PERSON = {"email": "odd@inputs.test", "password": PASSWORD}
USER = {**PERSON, "role": "viewer"}
KEY = {"name": "odd", "scopes": ["mcp:read"]}
TENANT = {"slug": "odd", "name": "Odd", "owner": PERSON}
LOGIN = {**PERSON, "tenant": "inputs"}
ROUTES = {"users": USER, "api-keys": KEY, "tenants": TENANT, "auth/login": LOGIN}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tenants]:
    async with tenant_service(backbone, tmp_path_factory.mktemp("tenant")) as tenants:
        yield tenants


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def owner(service: Tenants) -> AsyncIterator[str]:
    token = await service.new_tenant("inputs")
    before = await counts(service, token)
    yield token
    assert await counts(service, token) == before


async def counts(service: Tenants, token: str) -> list[int]:
    return [(await service.call("GET", path, token)).json()["total"] for path in LISTS]


async def post(service: Tenants, path: str, owner: str, body: Any) -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    by = await service.token() if path == "tenants" else owner
    return await service.call("POST", path, by, content=content, headers={"Content-Type": "application/json"})


def said(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.text[:300]


NUMBERS = ("-1", str(INT4), str(INT8), str(10**40), f"-{INT8}", "1.5", "x", "%00", "1%00", "%ff", "%D9%A3%20x")
CURSORS = ("", "x", "\x00", "é", "=" * 40, "A" * 65, LONG[:5000], "../x", "' OR 1=1 --")
PLACES = (b"\xff" * 24, b"\x7f" + b"\xff" * 23, b"\x00" * 23, b"\x00" * 25)


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "query",
    [
        *(f"limit={number}" for number in (*NUMBERS, "0", "201", "1e3", LONG[:5000])),
        *(f"offset={number}" for number in (*NUMBERS, "10001", "9" * 5000)),
        *(f"cursor={quote(text)}" for text in CURSORS),
        *("cursor=" + base64.urlsafe_b64encode(raw).decode() for raw in PLACES),
        "cursor=%ff%fe",
    ],
    ids=lambda text: text[:40],
)
async def test_a_query_that_cannot_be(service: Tenants, owner: str, path: str, query: str) -> None:
    answer = await service.call("GET", f"{path}?{query}", owner)
    assert answer.status_code in REFUSED, said(answer)


TEXTS = ("", "\x00", "a\x00b", "a\nb", "\x1b[0m", "a\u202eb", "\u200b", LONG)
VALUES: tuple[object, ...] = (*TEXTS, INT8, 10**40, None, [], {}, True, 1e300)
FIELDS = {
    "users": ("email", "password", "role"),
    "api-keys": ("name", "scopes", "expires_at"),
    "tenants": ("slug", "name", "plan", "owner"),
    "auth/login": ("email", "tenant"),
}
ALLOWED = {("auth/login", "tenant"), ("api-keys", "expires_at")}


def bodies() -> list[tuple[str, str, object]]:
    """Each field of each body with each value that it cannot have. (A password may hold any characters.)"""
    every = [(path, name, value) for path, names in FIELDS.items() for name in names for value in VALUES]
    return [
        (path, name, value)
        for path, name, value in every
        if not (value is None and (path, name) in ALLOWED) and not (name == "password" and value in TEXTS[1:-1])
    ]


@pytest.mark.parametrize(("path", "name", "value"), bodies(), ids=lambda value: repr(value)[:30])
async def test_a_field_that_cannot_be(service: Tenants, owner: str, path: str, name: str, value: object) -> None:
    answer = await post(service, path, owner, {**ROUTES[path], name: value})
    assert answer.status_code in REFUSED, said(answer)


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"email": "\xff"}',
        b'{"email": "\\ud800"}',
        b'{"name": "\\ud800", "scopes": ["mcp:read"]}',
        b'{"\x00": 1}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 100_000,
        b'{"email": 1e999}',
    ],
    ids=lambda body: repr(body)[:30],
)
async def test_a_body_that_cannot_be(service: Tenants, owner: str, path: str, body: bytes) -> None:
    answer = await post(service, path, owner, body)
    assert answer.status_code in REFUSED, said(answer)


async def test_a_body_that_is_too_large(service: Tenants, owner: str) -> None:
    answer = await post(service, "users", owner, {**USER, "password": "x" * (5 * 1024 * 1024)})
    assert answer.status_code == 413, said(answer)


@pytest.mark.parametrize(
    "moment",
    [
        "9999-12-31T23:59:59-14:00",
        "9999-12-31T23:59:59.999999Z",
        "0001-01-01T00:00:00+14:00",
        "2100-01-01T00:00:00",
        "2100-02-30T00:00:00Z",
        "2100-01-01T00:00:60Z",
        "10000-01-01T00:00:00Z",
        "infinity",
        INT8,
        10**40,
    ],
)
async def test_a_key_ends_at_a_time_that_can_be_kept(service: Tenants, owner: str, moment: object) -> None:
    answer = await post(service, "api-keys", owner, {**KEY, "expires_at": moment})
    assert answer.status_code in REFUSED, said(answer)


SCOPES: tuple[list[Any], ...] = (["x" * 100_000], ["\x00"], ["mcp:read", "no"], [f"s{n}" for n in range(33)], [[]], [1])


@pytest.mark.parametrize("scopes", SCOPES, ids=lambda scopes: repr(scopes)[:30])
async def test_scopes_that_cannot_be(service: Tenants, owner: str, scopes: list[object]) -> None:
    answer = await post(service, "api-keys", owner, {**KEY, "scopes": scopes})
    assert answer.status_code in REFUSED, said(answer)
    assert len(answer.content) < 5_000


@pytest.mark.parametrize("length", [7, 257])
async def test_a_password_has_bounds(service: Tenants, owner: str, length: int) -> None:
    assert (await post(service, "users", owner, {**USER, "password": "é" * length})).status_code == 400
    if length > 8:
        assert (await post(service, "auth/login", owner, {**LOGIN, "password": "é" * length})).status_code == 400


@pytest.mark.parametrize("path", ["users/{}", "tenants/{}"])
@pytest.mark.parametrize(
    "thing", ["x", "1", "%00", "..%2f..%2fetc", "%ff", "0" * 36, LONG[:5000], "00000000-0000-0000-0000-000000000000"]
)
async def test_an_id_that_cannot_be_is_of_nothing(service: Tenants, owner: str, path: str, thing: str) -> None:
    assert (await service.call("GET", path.format(thing), owner)).status_code in (400, 404)


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_an_idempotency_key_has_bounds(service: Tenants, owner: str, key: str) -> None:
    answer = await service.call("POST", "users", owner, json=USER, headers={"Idempotency-Key": key})
    assert answer.status_code == 400, said(answer)


@pytest.mark.parametrize("credential", ["é", "ap_\xff", "x" * 5000, "a b", "ap_dev_" + "0" * 49])
async def test_a_credential_that_cannot_be(service: Tenants, credential: str) -> None:
    headers = {"Authorization": b"Bearer " + credential.encode("latin-1")}
    answer = await service.http.get("/api/v1/auth/me", headers=headers)
    assert answer.status_code == 401, said(answer)


@pytest.mark.parametrize(
    ("slug", "made", "same", "typed"),
    [
        ("in-capitals", "ANNA@Inputs.test", "anna@inputs.test", "aNNa@inputs.TEST"),
        ("composed", "Jose\u0301@inputs.test", "jos\u00e9@inputs.test", "JOSE\u0301@inputs.test"),
    ],
)
async def test_one_address_is_one_user_however_it_is_typed(
    service: Tenants, slug: str, made: str, same: str, typed: str
) -> None:
    credential = await service.new_tenant(slug)
    await service.new_user(credential, made, "viewer")
    again = await service.call("POST", "users", credential, json={**USER, "email": same})
    assert again.status_code == 409
    assert await service.token(typed)


async def test_an_address_has_a_bound_in_the_form_that_is_kept(service: Tenants, owner: str) -> None:
    # U+1D160 is three characters of four bytes each once it is normalised: more than an index takes.
    answer = await post(service, "users", owner, {**USER, "email": "\U0001d160" * 240 + "@inputs.test"})
    assert answer.status_code in REFUSED, said(answer)
