"""One tenant looks for another's: through every route of every service, every table and every stream."""

import re
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import msgspec
import pytest
import pytest_asyncio

from infra.provision import dsn
from shared.settings import SERVICES
from tests.e2e.conftest import Whole
from tests.e2e.test_main_job import ARITHMETIC, WORKFLOWS, active, execute

pytestmark = pytest.mark.asyncio(loop_scope="session")

METHODS = ("get", "post", "patch", "put", "delete")
MARK = "mark-of-the-first-tenant"
SECRET = "MARK_OF_THE_FIRST_TENANT"
# Routes that work on who asks, or on what is sent along, and name nothing that is kept.
OF_THE_CALLER = {
    ("post", "/api/v1/auth/login"),
    ("get", "/api/v1/auth/me"),
    ("get", "/.well-known/jwks.json"),
    ("post", "/api/v1/workflows/workflows/validate"),
}
# Whoever has the address of a webhook may know that it is there: its token tells no tenant, and cannot be guessed.
BY_TOKEN = {("post", "/api/v1/workflows/hooks/{token}")}
BODIES: dict[str, dict[str, Any]] = {
    "/api/v1/mcp/execute": {"tool_name": "add", "tool_input": {"a": 1, "b": 2}},
    "/api/v1/workflows/workflows/execute": {},
}


class Scene(msgspec.Struct):
    """What the first tenant has, by the names that routes give to ids, and the second tenant's client."""

    ids: dict[str, list[str]]
    stranger: httpx2.AsyncClient
    routes: list[tuple[str, str, dict[str, Any]]]
    tenant_id: str
    stranger_id: str


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(whole: Whole, demo: httpx2.AsyncClient) -> AsyncIterator[Scene]:
    first = await _tenant(demo)
    second = await _tenant(demo)
    async with whole.client_for(first) as owner, whole.client_for(second) as stranger:
        ids = await _furnish(owner)
        routes = []
        for service in SERVICES:
            described = (await stranger.get(f"{whole.platform.url}/docs/{service}/openapi.json")).json()
            assert "paths" in described, (service, described)
            for path, methods in described["paths"].items():
                routes += [(method, path, methods[method]) for method in METHODS if method in methods]
        me, them = [(await client.get("/auth/me")).json()["tenant_id"] for client in (owner, stranger)]
        yield Scene(ids, stranger, routes, me, them)


async def _tenant(demo: httpx2.AsyncClient) -> str:
    slug = f"t{uuid4().hex[:10]}"
    owner = {"email": f"{slug}@example.org", "password": f"{uuid4()}-{uuid4()}"}
    made = await demo.post("/tenants", json={"name": slug, "slug": slug, "owner": owner})
    assert made.status_code == 201, made.text
    return slug


async def _furnish(owner: httpx2.AsyncClient) -> dict[str, list[str]]:
    workflow = await active(owner, {**ARITHMETIC, "description": MARK, "triggers": [{"type": "webhook"}]})
    run = await execute(owner, workflow, a=6, b=7)
    me = (await owner.get("/auth/me")).json()
    user = await owner.post(
        "/users", json={"email": f"{uuid4().hex}@example.org", "password": str(uuid4()) * 2, "role": "viewer"}
    )
    key = await owner.post("/api-keys", json={"name": MARK, "scopes": ["workflows:read"]})
    server = await owner.post(
        "/mcp/servers", json={"name": MARK, "server_type": "streamable_http", "url": "https://example.org/mcp"}
    )
    remote = {"type": "streamable-http", "url": "https://example.org/mcp"}
    entry = await owner.post(
        "/mcp/registry", json={"name": f"x/{MARK}", "description": MARK, "version": "1", "remotes": [remote]}
    )
    config = await owner.post("/mcp/configs", json={"server_id": server.json()["id"], "profile": MARK.lower()})
    calls = (await owner.get("/mcp/executions")).json()["executions"]
    secret = await owner.post("/secrets", json={"name": SECRET, "value": MARK, "description": MARK})
    for answer in (user, key, server, entry, config, secret):
        assert answer.status_code == 201, answer.text
    bundled = next(s for s in (await owner.get("/mcp/servers")).json()["servers"] if s["slug"] == "calculator")
    return {
        "workflow_id": [workflow],
        "name": ["webhook", SECRET],
        "execution_id": [run["id"], calls[0]["id"]],
        "reference": [server.json()["id"], server.json()["slug"], bundled["id"]],
        "server_id": [server.json()["id"], bundled["id"]],
        "config_id": [config.json()["id"]],
        "slug": [entry.json()["slug"]],
        "tenant_id": [me["tenant_id"]],
        "user_id": [user.json()["id"]],
        "key_id": [key.json()["id"]],
        "approval_id": [str(uuid4())],
    }


def _names(path: str) -> list[str]:
    return [name.partition(":")[0] for name in re.findall(r"{([^}]*)}", path)]


async def test_no_route_answers_with_anothers(scene: Scene) -> None:
    everything = {value for values in scene.ids.values() for value in values} | {MARK}
    tried = 0
    for method, path, _ in scene.routes:
        if (method, path) in OF_THE_CALLER | BY_TOKEN or not path.startswith("/api/"):
            continue
        names = _names(path)
        unknown = [name for name in names if name not in scene.ids]
        assert not unknown, f"{method} {path}: the test knows no {unknown} of the first tenant"
        for targets in _targets(path, names, scene.ids):
            url = targets.removeprefix("/api/v1")
            body = {} if method in {"post", "patch", "put"} else None
            answer = await scene.stranger.request(method.upper(), url, json=body)
            tried += 1
            if names:
                assert answer.status_code in {400, 404}, f"{method} {url}: {answer.status_code} {answer.text}"
                nobodys = await scene.stranger.request(method.upper(), _of_nobody(path, names), json=body)
                assert nobodys.status_code == answer.status_code, f"{method} {url} tells that it exists"
            leaked = [value for value in everything if value in answer.text and value not in url]
            assert not leaked, f"{method} {url} shows {leaked}"
    print(f"{tried} requests over {len(scene.routes)} routes")  # noqa: T201 - the share that was covered


def _targets(path: str, names: list[str], ids: dict[str, list[str]]) -> list[str]:
    urls = [path]
    for name in names:
        urls = [re.sub(r"{" + name + r"[^}]*}", value, url) for url in urls for value in ids[name]]
    return urls


def _of_nobody(path: str, names: list[str]) -> str:
    for name in names:
        path = re.sub(r"{" + name + r"[^}]*}", str(uuid4()), path)
    return path.removeprefix("/api/v1")


async def test_no_body_reaches_anothers(scene: Scene) -> None:
    for server in scene.ids["server_id"]:
        call = {"server_id": server, "tool_name": "add", "tool_input": {"a": 1, "b": 2}}
        answer = await scene.stranger.post("/mcp/execute", json=call)
        assert answer.status_code == 404, answer.text
    answer = await scene.stranger.post(f"{WORKFLOWS}/execute", json={"workflow_id": scene.ids["workflow_id"][0]})
    assert (answer.status_code, answer.json()["code"]) == (404, "workflow_not_found")
    step = {"type": "mcp_tool", "name": "t", "server_id": scene.ids["server_id"][1], "tool_name": "add",
            "input": {"a": 1, "b": 2}}  # fmt: skip
    done = await execute(scene.stranger, await active(scene.stranger, {"steps": [step]}))
    assert (done["status"], done["error"]["code"]) == ("failed", "tool_not_found")


async def test_a_query_that_forgot_its_filter_shows_one_tenant(whole: Whole, scene: Scene) -> None:
    """Every table with a tenant_id, through the login that answers requests."""
    admin = await asyncpg.connect(whole.platform.postgres_admin_dsn)
    tables = await admin.fetch(
        "SELECT table_schema, table_name FROM information_schema.columns JOIN information_schema.tables "
        "USING (table_schema, table_name) WHERE column_name = 'tenant_id' AND table_type = 'BASE TABLE' "
        "AND table_schema = ANY($1::text[])",
        list(SERVICES),
    )
    assert len(tables) >= 15
    seen = 0
    for schema in SERVICES:
        login = whole.platform._stack.database.login_dsn(dsn.serving(schema))
        connection = await asyncpg.connect(login)
        for table in (row["table_name"] for row in tables if row["table_schema"] == schema):
            forgot = f'SELECT DISTINCT tenant_id::text FROM "{schema}"."{table}"'
            await connection.execute("SELECT set_config('app.tenant_id', '', false)")
            try:
                assert await connection.fetch(forgot) == [], f"{schema}.{table} without a tenant"
            except asyncpg.InsufficientPrivilegeError:
                continue  # requests do not read it at all
            await connection.execute("SELECT set_config('app.tenant_id', $1, false)", scene.stranger_id)
            assert {row[0] for row in await connection.fetch(forgot)} <= {scene.stranger_id}, f"{schema}.{table}"
            give_away = f'UPDATE "{schema}"."{table}" SET tenant_id = $1'
            # It may not write the table, or row-level security refuses the row, or there is none to give away.
            with suppress(asyncpg.InsufficientPrivilegeError):
                assert await connection.execute(give_away, scene.tenant_id) == "UPDATE 0", f"{schema}.{table}"
            seen += await admin.fetchval(
                f'SELECT count(*) FROM "{schema}"."{table}" WHERE tenant_id = $1', scene.tenant_id
            )
        await connection.close()
    assert seen > 20, "the first tenant has rows that could have been seen"
    await admin.close()


async def test_no_login_that_serves_can_change_the_past_or_own_a_table(whole: Whole) -> None:
    admin = await asyncpg.connect(whole.platform.postgres_admin_dsn)
    for schema in SERVICES:
        for login in (dsn.serving(schema), dsn.working(schema)):
            for verb in ("UPDATE", "DELETE", "TRUNCATE"):
                assert not await admin.fetchval(
                    "SELECT has_table_privilege($1, $2, $3)", login, f"{schema}.events", verb
                )
            role = await admin.fetchrow("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = $1", login)
            assert tuple(role) == (False, False)
            owned = "SELECT count(*) FROM pg_tables WHERE tableowner = $1"
            assert await admin.fetchval(owned, login) == 0
            others = [other for other in SERVICES if other != schema]
            for other in others:
                assert not await admin.fetchval("SELECT has_schema_privilege($1, $2, 'USAGE')", login, other)
    unprotected = await admin.fetch(
        "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' "
        "WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY($1::text[]) "
        "AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
        list(SERVICES),
    )
    assert [row[0] for row in unprotected] == []
    within = await admin.fetch(
        "SELECT c.oid::regclass::text, p.login, p.verb FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "CROSS JOIN (SELECT l.login, v.verb FROM unnest($1::text[]) l (login), "
        "unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE}'::text[]) v (verb)) p "
        "WHERE c.relkind = 'r' AND has_table_privilege(p.login, c.oid, p.verb)",
        [login for schema in SERVICES for login in (dsn.serving(schema), dsn.working(schema))],
    )
    assert [tuple(row) for row in within] == [], "a partition is reached through its table alone"
    parts = await admin.fetchval("SELECT count(*) FROM pg_inherits WHERE inhparent = 'workflow.events'::regclass")
    assert parts >= 3
    await admin.close()
