"""The gateway's HTTP API: registry, discovery, calls, history, and what it refuses."""

import asyncio
import base64
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import pytest
import pytest_asyncio

from tests.conftest import Backbone
from tests.fixtures.gateway_process import SERVERS, Running, free_port, gateway
from tests.fixtures.mcp_servers.by_http import served
from tests.fixtures.mcp_servers.sse_server import sse_server

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCRIPT = str(SERVERS / "acting_server.py")
ACTING = {"name": "Acting Server", "server_type": "stdio", "command": sys.executable, "args": [SCRIPT]}
ELSEWHERE_PORT = free_port()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(backbone: Backbone) -> AsyncIterator[Running]:
    async with gateway(
        backbone, commands=f"{sys.executable} {SCRIPT}", allowed_hosts=f"127.0.0.1:{ELSEWHERE_PORT}"
    ) as process:
        yield process


@pytest_asyncio.fixture(loop_scope="session")
async def client(running: Running) -> AsyncIterator[httpx2.AsyncClient]:
    async with running.client(uuid4()) as connection:
        yield connection


def code(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.text
    return answer.status_code, answer.json()["code"]


async def test_a_new_tenant_has_the_bundled_servers(client: httpx2.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.get("/servers") for _ in range(8)))
    assert {len(answer.json()["servers"]) for answer in answers} == {4}
    servers = {server["slug"]: server for server in answers[0].json()["servers"]}
    assert list(servers) == ["filesystem", "database", "calculator", "workflows"]
    assert {(server["category"], server["status"]) for server in servers.values()} == {("bundled", "active")}
    for slug, tools in (("filesystem", 7), ("database", 4), ("calculator", 5), ("workflows", 3)):
        discovered = (await client.get(f"/servers/{servers[slug]['id']}/discover")).json()
        assert len(discovered["servers"][0]["available_tools"]) == tools
    full = (await client.get("/discover", params={"detail": "full"})).json()
    assert len({tool["definition_hash"] for server in full["servers"] for tool in server["tools"]}) == 19
    assert code(await client.delete("/servers/calculator")) == (409, "conflict")
    assert code(await client.patch("/servers/calculator", json={"command": "/bin/sh"})) == (409, "conflict")
    changed = await client.patch("/servers/calculator", json={"status": "disabled"})
    assert changed.json()["status"] == "disabled"
    call = {"server_id": "calculator", "tool_name": "add", "tool_input": {"a": 1, "b": 2}}
    assert code(await client.post("/execute", json=call)) == (409, "server_disabled")


async def test_files_and_the_database_among_them_are_the_tenants_own(running: Running, tmp_path: Path) -> None:
    async def call(client: httpx2.AsyncClient, server: str, tool: str, **given: object) -> Any:
        body = {"server_id": server, "tool_name": tool, "tool_input": given}
        answer = await client.post("/execute", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    with closing(sqlite3.connect(tmp_path / "made.sqlite3")) as made:
        made.executescript("CREATE TABLE people (name TEXT); INSERT INTO people VALUES ('Ada')")
    database = base64.b64encode((tmp_path / "made.sqlite3").read_bytes()).decode()
    async with running.client(uuid4()) as ours, running.client(uuid4()) as others:
        for client in (ours, others):
            assert "Ada" not in str(await call(client, "database", "list_tables"))
        await call(ours, "filesystem", "write_file", path="database.sqlite3", content=database, encoding="base64")
        await call(ours, "filesystem", "write_file", path="notes.txt", content="ours alone")
        assert "Ada" in str(await call(ours, "database", "query", sql="SELECT name FROM people"))
        assert "ours alone" in str(await call(ours, "filesystem", "read_file", path="notes.txt"))
        assert "no such file" in str(await call(others, "filesystem", "read_file", path="notes.txt"))
        assert "Ada" not in str(await call(others, "database", "query", sql="SELECT name FROM people"))
        names = str(await call(others, "filesystem", "search_files", pattern="*"))
        assert "notes.txt" not in names


async def test_calls_and_their_history(client: httpx2.AsyncClient) -> None:
    call = {"server_id": "calculator", "tool_name": "add", "tool_input": {"a": 10, "b": 5}}
    answer = (await client.post("/execute", json=call)).json()
    assert (answer["status"], answer["tool_output"], answer["error_code"]) == ("completed", {"result": 15}, None)
    kept = (await client.get(f"/executions/{answer['execution_id']}")).json()
    assert {name: kept[name] for name in answer} == answer
    assert kept["tool_input"] == call["tool_input"]
    said = (await client.post("/execute", json={**call, "tool_name": "divide", "tool_input": {"a": 1, "b": 0}})).json()
    assert (said["status"], said["error_code"]) == ("failed", "tool_error")
    assert code(await client.post("/execute", json={**call, "tool_name": "none"})) == (404, "tool_not_found")
    assert code(await client.post("/execute", json={**call, "server_id": "none"})) == (404, "not_found")
    assert code(await client.post("/execute", json={**call, "tool_input": {}})) == (422, "arguments_invalid")
    assert code(await client.post("/execute", json={**call, "tol_input": {}})) == (400, "invalid_input")
    assert code(await client.post("/execute", json={**call, "server_id": "a\0"})) == (400, "invalid_input")
    first = (await client.get("/executions", params={"limit": 3})).json()
    rest = (await client.get("/executions", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    assert first["total"] == 4
    assert [page["tool_name"] for page in first["executions"] + rest["executions"]] == ["add", "none", "divide", "add"]
    failed = (await client.get("/executions", params={"status": "failed", "tool_name": "add"})).json()
    assert [row["error_code"] for row in failed["executions"]] == ["arguments_invalid"]


async def test_tenants_see_their_own_and_scopes_are_asked_for(running: Running, client: httpx2.AsyncClient) -> None:
    server = (await client.post("/servers", json=ACTING)).json()
    done = await client.post(
        "/execute", json={"server_id": "calculator", "tool_name": "add", "tool_input": {"a": 1, "b": 1}}
    )
    execution = done.json()["execution_id"]
    await client.get("/executions")
    async with running.client(uuid4()) as other:
        for path in (f"/servers/{server['id']}", "/servers/acting-server", f"/executions/{execution}"):
            assert code(await other.get(path)) == (404, "not_found")
        call = {"server_id": server["id"], "tool_name": "wait", "tool_input": {"seconds": 0}}
        assert code(await other.post("/execute", json=call)) == (404, "not_found")
        assert code(await other.patch(f"/servers/{server['id']}", json={"name": "mine"})) == (404, "not_found")
        assert code(await other.delete(f"/servers/{server['id']}")) == (404, "not_found")
        assert (await other.get("/executions")).json()["total"] == 0
    async with running.client(uuid4(), "mcp:read") as reader:
        assert code(await reader.post("/execute", json=call)) == (403, "forbidden")
        assert code(await reader.post("/servers", json=ACTING)) == (403, "forbidden")
        assert (await reader.get("/servers")).status_code == 200
    async with httpx2.AsyncClient(base_url=str(client.base_url), trust_env=False) as nobody:
        assert code(await nobody.get("/servers")) == (401, "unauthenticated")


async def test_a_server_from_registration_to_removal(client: httpx2.AsyncClient) -> None:
    made = await client.post("/servers", json=ACTING)
    assert made.status_code == 201
    server, etag = made.json(), made.headers["etag"]
    assert server["slug"] == "acting-server"
    assert code(await client.post("/servers", json=ACTING)) == (409, "slug_taken")
    assert (await client.get("/servers/acting-server")).headers["etag"] == etag
    checked = (await client.post("/servers/acting-server/health")).json()
    assert (checked["health_status"], checked["session_alive"]) == ("healthy", True)
    patched = await client.patch("/servers/acting-server", json={"slug": "actor"}, headers={"If-Match": etag})
    assert patched.json()["slug"] == "actor"
    stale = await client.patch("/servers/actor", json={"slug": "again"}, headers={"If-Match": etag})
    assert code(stale) == (412, "precondition_failed")
    assert code(await client.patch("/servers/actor", json={"slug": "calculator"})) == (409, "slug_taken")
    assert code(await client.patch("/servers/actor", json={"slg": "x"})) == (400, "invalid_input")
    call = {"server_id": "actor", "tool_name": "wait", "tool_input": {"seconds": 60}, "timeout_seconds": 0.2}
    late = await client.post("/execute", json=call)
    assert code(late) == (504, "tool_timeout")
    assert (await client.get(f"/executions/{late.json()['details']['execution_id']}")).json()["status"] == "failed"
    assert code(await client.post("/execute", json={"server_id": "actor", "tool_name": "die"})) == (502, "server_died")
    assert (await client.delete("/servers/actor")).status_code == 204
    assert code(await client.get("/servers/actor")) == (404, "not_found")
    assert (await client.get("/executions")).json()["total"] == 2


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"command": "/bin/sh", "args": ["-c", "id"]}, (422, "command_not_allowed")),
        ({"command": sys.executable, "args": ["-c", "import os"]}, (422, "command_not_allowed")),
        (
            {"command": sys.executable, "args": ["-m", "services.mcp_gateway.servers.calculator"]},
            (422, "command_not_allowed"),
        ),
        ({"env_vars": {"PYTHONPATH": "/tmp"}}, (422, "command_not_allowed")),
        ({"env_vars": {"LD_PRELOAD": "/tmp/x.so"}}, (422, "command_not_allowed")),
        ({"env_vars": {"TOKEN": "{secret.to-ken}"}}, (422, "unprocessable")),
        ({"command": "{secret.token}"}, (422, "unprocessable")),
        ({"category": "bundled"}, (422, "unprocessable")),
        ({"slug": "../x"}, (422, "unprocessable")),
        ({"name": "a\0b"}, (422, "unprocessable")),
        ({"url": "http://example.org"}, (422, "unprocessable")),
        ({"server_type": "streamable_http"}, (422, "unprocessable")),
        ({"server_type": "carrier_pigeon"}, (400, "invalid_input")),
        ({"colour": "red"}, (400, "invalid_input")),
    ],
)
async def test_what_may_not_be_registered(
    client: httpx2.AsyncClient, body: dict[str, object], expected: tuple[int, str]
) -> None:
    assert code(await client.post("/servers", json={**ACTING, **body})) == expected
    assert (await client.get("/servers")).json()["total"] == 4


async def test_the_same_key_is_the_same_call(client: httpx2.AsyncClient, tmp_path: Path) -> None:
    key = {"Idempotency-Key": "once"}
    made = [await client.post("/servers", json=ACTING, headers=key) for _ in range(2)]
    assert made[0].json() == made[1].json()
    file = tmp_path / "acts"
    call = {"server_id": "acting-server", "tool_name": "append", "tool_input": {"path": str(file), "text": "x"}}
    answers = [await client.post("/execute", json=call, headers=key) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert file.read_text() == "x\n"
    other = await client.post("/execute", json={**call, "tool_name": "die"}, headers=key)
    assert code(other) == (422, "idempotency_key_reused")


async def test_a_registration_whose_answer_was_lost_is_answered_again(
    backbone: Backbone, client: httpx2.AsyncClient
) -> None:
    key = {"Idempotency-Key": "lost"}
    first = await client.post("/servers", json=ACTING, headers=key)
    # As after a crash between the commit and the keeping of the answer, once the claim has lapsed.
    admin = await asyncpg.connect(backbone.admin_dsn)
    changed = await admin.execute(
        "UPDATE mcp_gateway.idempotency_keys SET status = 0, created_at = now() - interval '2 min' WHERE key LIKE $1",
        "% lost",
    )
    assert changed == "UPDATE 1"
    await admin.close()
    again = await client.post("/servers", json=ACTING, headers=key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["x-event-position"] == first.headers["x-event-position"]


async def test_writes_name_the_position_of_their_event(client: httpx2.AsyncClient, tmp_path: Path) -> None:
    def position(answer: httpx2.Response) -> int:
        assert answer.is_success, answer.text
        return int(answer.headers["x-event-position"])

    made = await client.post("/servers", json=ACTING)
    changed = await client.patch("/servers/acting-server", json={"description": "d"})
    call = {
        "server_id": "acting-server",
        "tool_name": "append",
        "tool_input": {"path": str(tmp_path / "x"), "text": "x"},
    }
    called = await client.post("/execute", json=call)
    reading = {"server_id": "acting-server", "tool_name": "wait", "tool_input": {"seconds": 0}}
    assert "x-event-position" not in (await client.post("/execute", json=reading)).headers
    removed = await client.delete("/servers/acting-server")
    positions = [position(answer) for answer in (made, changed, called, removed)]
    assert positions == sorted(set(positions))


async def test_lists_are_walked_by_cursor_and_count_alike_everywhere(client: httpx2.AsyncClient) -> None:
    for number in range(6):
        answer = await client.post("/servers", json={**ACTING, "name": f"acting {number}"})
        assert answer.status_code == 201
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await client.get("/servers", params={"limit": 5, **cursor})).json()
        seen += [server["slug"] for server in page["servers"]]
        assert page["total"] == 10
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
        # A cursor is a place: it stays one when what stood there is gone.
        assert (await client.delete(f"/servers/{page['servers'][-1]['id']}")).status_code in {204, 409}
        await client.post("/servers", json={**ACTING, "name": f"later {len(seen)}"})
    bundled = ["filesystem", "database", "calculator", "workflows"]
    assert seen[:10] == [*bundled, *(f"acting-{number}" for number in range(6))]
    beyond = (await client.get("/servers", params={"offset": 1_000})).json()
    assert (beyond["servers"], beyond["total"], beyond["next_cursor"]) == ([], 10, None)
    narrowed = (await client.get("/servers", params={"category": "bundled", "limit": 1})).json()
    assert (narrowed["total"], narrowed["next_cursor"] is None) == (4, False)

    call = {"server_id": "calculator", "tool_name": "add", "tool_input": {"a": 1, "b": 1}}
    for _ in range(4):
        await client.post("/execute", json=call)
    first = (await client.get("/executions", params={"limit": 2})).json()
    second = (await client.get("/executions", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert (first["total"], second["total"], second["next_cursor"]) == (4, 4, None)
    assert len({row["id"] for row in first["executions"] + second["executions"]}) == 4
    assert (await client.get("/executions", params={"offset": 1_000})).json()["total"] == 4


NUL, LARGE = "a%00b", str(2**31)
NESTED = b"[" * 700 + b"]" * 700


@pytest.mark.parametrize(
    "path",
    [
        *(f"/servers?{name}={NUL}" for name in ("status", "category", "server_type", "offset", "limit", "cursor")),
        *(f"/executions?{name}={NUL}" for name in ("server_id", "tool_name", "status", "offset", "limit", "cursor")),
        *(f"/{kind}?{name}={LARGE}" for kind in ("servers", "executions") for name in ("offset", "limit", "cursor")),
        *(f"/servers?{name}={value}" for name in ("offset", "limit") for value in ("-1", "9" * 30, "NaN")),
        *(f"/executions?{name}={value}" for name in ("offset", "limit") for value in ("-1", "9" * 30, "NaN")),
        f"/executions?cursor={'A' * 65}",
        f"/servers?cursor={'_' * 32}",
        "/servers?cursor=%C3%A9",
        f"/servers?category={'x' * 300}",
        f"/executions?tool_name={'x' * 300}",
        f"/servers/{NUL}",
        f"/servers/{'x' * 200}",
        f"/servers/{NUL}/discover",
        f"/servers/calculator/discover?detail={NUL}",
        f"/discover?detail={NUL}",
        f"/executions/{NUL}",
        f"/executions/{LARGE}",
    ],
)  # fmt: skip
async def test_no_parameter_is_a_fault_of_ours(client: httpx2.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code in {400, 404, 422}, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/servers", b'{"name": "x", "server_type": "stdio", "command": "\\ud800"}'),
        ("/servers", b'{"name": "x\\ud800", "server_type": "stdio", "command": "x"}'),
        ("/servers", b'{"name": "x", "server_type": "stdio", "command": "x", "config": {"timeout_seconds": 1e999}}'),
        ("/servers", b'{"name": "x", "server_type": "stdio", "command": "x", "config": {"headers": {"\\u0000": ""}}}'),
        ("/execute", b'{"server_id": "a\\ud800", "tool_name": "x"}'),
        ("/execute", b'{"server_id": "calculator", "tool_name": "a\\u0000"}'),
        ("/execute", b'{"server_id": "calculator", "tool_name": "add", "timeout_seconds": 1e999}'),
        ("/execute", b'{"server_id": "calculator", "tool_name": "add", "timeout_seconds": 2147483648}'),
        ("/execute", b'{"server_id": "calculator", "tool_name": "add", "tool_input": {"a": 1e999, "b": 1}}'),
        ("/execute", b'{"server_id": "calculator", "tool_name": "add", "tool_input": {"a": ' + NESTED + b"}}"),
    ],
)  # fmt: skip
async def test_no_body_is_a_fault_of_ours(client: httpx2.AsyncClient, path: str, body: bytes) -> None:
    answer = await client.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in {400, 404, 422}, answer.text


async def test_servers_elsewhere_are_public_or_allowed(client: httpx2.AsyncClient) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SERVERS / "sdk_server.py"), "http", str(ELSEWHERE_PORT), "json"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        elsewhere = {"server_type": "streamable_http", "url": f"http://127.0.0.1:{ELSEWHERE_PORT}/mcp"}
        assert (await client.post("/servers", json={"name": "near", **elsewhere})).status_code == 201
        inside = {"name": "inside", "server_type": "streamable_http", "url": "http://127.0.0.1:1/mcp"}
        assert (await client.post("/servers", json=inside)).status_code == 201
        assert code(await client.get("/servers/inside/discover")) == (422, "address_refused")
        call = {"server_id": "near", "tool_name": "add", "tool_input": {"a": 1, "b": 2}}
        async with asyncio.timeout(20):
            while (answer := await client.post("/execute", json=call)).status_code != 200:
                assert code(answer) == (503, "server_unavailable")
                await asyncio.sleep(0.2)
        assert answer.json()["tool_output"] == {"result": 3.0}
        everything = (await client.get("/discover")).json()
        refused = {server["name"]: server["error_code"] for server in everything["servers"]}
        assert (refused["near"], refused["inside"], everything["total_available"]) == (None, "address_refused", 5)
        unwell = (await client.post("/servers/inside/health")).json()
        assert unwell["health_status"] == "unhealthy"
    finally:
        process.kill()
        await process.wait()


async def test_a_server_that_speaks_sse(client: httpx2.AsyncClient) -> None:
    async with sse_server(ELSEWHERE_PORT) as server:
        older = {"name": "older", "server_type": "sse", "url": server.url}
        assert code(await client.post("/servers", json={**older, "command": "x"})) == (422, "unprocessable")
        made = await client.post("/servers", json=older)
        assert (made.status_code, made.json()["server_type"]) == (201, "sse")
        found = (await client.get("/servers/older/discover")).json()
        assert found["servers"][0]["available_tools"] == ["do"]
        call = {"server_id": "older", "tool_name": "do", "tool_input": {}}
        answer = await client.post("/execute", json=call)
        assert (answer.status_code, answer.json()["status"]) == (200, "completed")
        assert (await client.post("/servers/older/health")).json()["health_status"] == "healthy"

        async def dies(_: dict[str, Any]) -> None:
            server.streams[-1].close()

        server.call = dies
        assert code(await client.post("/execute", json=call)) == (502, "server_died")


async def test_a_bundled_server_that_is_served_by_http(client: httpx2.AsyncClient) -> None:
    token = "a-token-of-a-length-that-nobody-guesses"
    command = ("-m", "services.mcp_gateway.servers.calculator")
    async with served(*command, address=f"127.0.0.1:{ELSEWHERE_PORT}", MCP_SERVER_TOKEN=token) as server:
        far = {"server_type": "streamable_http", "url": server.url}
        headers = {"Authorization": f"Bearer {token}"}
        assert (await client.post("/servers", json={"name": "far", **far, "config": {"headers": headers}})).is_success
        assert (await client.post("/servers", json={"name": "closed", **far})).is_success
        call = {"tool_name": "add", "tool_input": {"a": 1, "b": 2}}
        answer = await client.post("/execute", json={"server_id": "far", **call})
        assert answer.json()["tool_output"] == {"result": 3}
        assert code(await client.post("/execute", json={"server_id": "closed", **call})) == (503, "server_unavailable")
