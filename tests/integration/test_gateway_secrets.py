"""Secrets in what servers are started with and in what tools are sent. Real services, real processes, real HTTP."""

import asyncio
import hashlib
import json
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import asyncpg
import httpx2
import msgspec
import psutil
import pytest
import pytest_asyncio

from tests.conftest import Backbone
from tests.fixtures.gateway_process import SERVERS, Running, free_port, gateway, task
from tests.fixtures.tenant_process import Tenants, tenant_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

SERVER = str(SERVERS / "secret_server.py")
FIRST, SECOND, THIRD = "first-value-of-the-token", "second-value-of-the-token", 'third "value" & of/the?token'
ARGUMENT = "value-that-only-a-tool-is-sent"
REFERENCE = "{secret.TOKEN}"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Elsewhere(BaseHTTPRequestHandler):
    """An MCP server of the handshake era that notes what comes with each request."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[tuple[str, str | None]]] = []

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.path, self.headers.get("Authorization")))
        method, result = request.get("method"), None
        if method == "initialize":
            info = {"name": "elsewhere", "version": "1"}
            result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
        elif method == "tools/list":
            hints = {"readOnlyHint": True}
            result = {"tools": [{"name": "look", "inputSchema": {"type": "object"}, "annotations": hints}]}
        elif method == "tools/call":
            result = {"content": [{"type": "text", "text": "looked"}]}
        if "id" not in request:
            return self._answer(202, b"")
        said = {"result": result} if result is not None else {"error": {"code": -32601, "message": f"no {method}"}}
        return self._answer(200, json.dumps({"jsonrpc": "2.0", "id": request["id"], **said}).encode())

    def do_DELETE(self) -> None:
        self._answer(200, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class Scene(msgspec.Struct):
    """A gateway and a tenant service, and a tenant's owner."""

    running: Running
    tenants: Tenants
    log: Path
    owner: str
    tenant: UUID

    async def put(self, **secrets: str) -> None:
        for name, value in secrets.items():
            answer = await self.tenants.call("POST", "secrets", self.owner, json={"name": name, "value": value})
            assert answer.status_code == 201, answer.text

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            base_url=f"{self.running.url}/api/v1/mcp",
            headers={"Authorization": f"Bearer {self.owner}"},
            timeout=30,
            trust_env=False,
        )

    async def register(self, slug: str, **definition: Any) -> None:
        async with self.client() as client:
            answer = await client.post("/servers", json={"name": slug, "slug": slug, **definition})
            assert answer.status_code == 201, answer.text

    async def call(self, server: str, tool: str, secrets: bool = True, **arguments: Any) -> dict[str, Any]:
        payload: dict[str, Any] = {"server_id": server, "tool_name": tool, "arguments": arguments}
        if secrets and "text" in arguments:
            payload["secret_paths"] = [["arguments", "text"]]
        (result,) = await self.running.ask(task(self.tenant, payload))
        return result

    async def until(self, server: str, **expected: Any) -> dict[str, Any]:
        """Call `seen` until it answers this, for less than what is remembered is kept."""
        async with asyncio.timeout(4):
            while True:
                result = await self.call(server, "seen")
                output = result.get("output") or {"code": (result.get("error") or {}).get("code")}
                if expected.items() <= output.items():
                    return dict(output)
                await asyncio.sleep(0.02)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(backbone: Backbone, elsewhere: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("secrets")
    commands = f"{sys.executable} {SERVER}"
    async with (
        tenant_service(backbone, folder / "tenant") as tenants,
        gateway(
            backbone, commands=commands, allowed_hosts=elsewhere, authority=False, log=folder / "gateway.log"
        ) as running,
    ):
        owner = await tenants.new_tenant("gateway-secrets")
        me = await tenants.call("GET", "auth/me", owner)
        scene = Scene(running, tenants, folder / "gateway.log", owner, UUID(me.json()["tenant_id"]))
        await scene.put(TOKEN=FIRST, ARGUMENT=ARGUMENT)
        yield scene


def program(*args: str, **env: str) -> dict[str, Any]:
    return {"server_type": "stdio", "command": sys.executable, "args": [SERVER, *args], "env_vars": env}


async def test_a_program_gets_the_values_and_a_changed_one_starts_it_anew(scene: Scene) -> None:
    await scene.register("started", **program("--token=" + REFERENCE, TOKEN=f"<{REFERENCE}>"))
    output = (await scene.call("started", "seen"))["output"]
    assert (output["environment"], output["arguments"]) == (digest(f"<{FIRST}>"), [digest("--token=" + FIRST)])
    assert (await scene.call("started", "seen"))["output"]["process"] == output["process"]
    await scene.put(UNRELATED="x")
    assert (await scene.call("started", "seen"))["output"]["process"] == output["process"]

    await scene.put(TOKEN=SECOND)
    changed = await scene.until("started", environment=digest(f"<{SECOND}>"))
    assert changed["process"] != output["process"]
    async with asyncio.timeout(10):
        while psutil.pid_exists(output["process"]):
            await asyncio.sleep(0.02)

    await scene.tenants.call("DELETE", "secrets/TOKEN", scene.owner)
    await scene.until("started", code="secret_not_found")
    async with asyncio.timeout(10):
        while psutil.pid_exists(changed["process"]):
            await asyncio.sleep(0.02)
    await scene.put(TOKEN=FIRST)
    await scene.until("started", environment=digest(f"<{FIRST}>"))


async def test_a_server_elsewhere_gets_them_in_headers_and_in_its_query(scene: Scene, elsewhere: str) -> None:
    await scene.put(API_KEY=THIRD)
    definition = {
        "server_type": "streamable_http",
        "url": f"http://{elsewhere}/mcp?a=1&key={{secret.API_KEY}}",
        "config": {"headers": {"authorization": "Bearer {secret.API_KEY}"}},
    }
    Elsewhere.seen.clear()
    await scene.register("elsewhere", **definition)
    assert (await scene.call("elsewhere", "look"))["output"]["text"] == "looked"
    assert {*Elsewhere.seen} == {("/mcp?a=1&key=third%20%22value%22%20%26%20of%2Fthe%3Ftoken", f"Bearer {THIRD}")}
    async with scene.client() as client:
        shown = (await client.get("/servers/elsewhere")).json()
    assert (shown["url"], shown["config"]["headers"]) == (definition["url"], definition["config"]["headers"])

    # A value that no header can hold: said so, and by the header's name alone.
    await scene.put(API_KEY="two\nlines-of-a-value")
    async with asyncio.timeout(4):
        while (result := await scene.call("elsewhere", "look"))["status"] == "ok":
            await asyncio.sleep(0.02)
    assert result["error"]["code"] == "unprocessable"
    assert "lines-of-a-value" not in json.dumps(result)


async def test_arguments_are_filled_in_when_they_are_sent_and_recorded_as_references(scene: Scene) -> None:
    await scene.register("sent", **program(TOKEN=REFERENCE))
    result = await scene.call("sent", "seen", text="<{secret.ARGUMENT}>", more=["{secret.ARGUMENT}"])
    assert result["output"]["text"] == digest(f"<{ARGUMENT}>")
    assert result["output"]["more"] == [digest("{secret.ARGUMENT}")], "only the places that the task names"
    assert (await scene.call("sent", "seen", text="{secret.NONE}"))["error"]["code"] == "secret_not_found"
    assert (await scene.call("sent", "seen", text="{secret.no-name}"))["error"]["code"] == "secret_not_found"
    many = await scene.call("sent", "seen", text="{secret.ARGUMENT}" * 50_000)
    assert many["error"]["code"] == "too_large"
    async with scene.client() as client:
        by_rest = await client.post(
            "/execute", json={"server_id": "sent", "tool_name": "seen", "tool_input": {"text": "{secret.ARGUMENT}"}}
        )
        assert by_rest.json()["tool_output"]["text"] == digest("{secret.ARGUMENT}"), "no caller names places over HTTP"
        executions = (await client.get("/executions")).json()["executions"]
        detail = (await client.get(f"/executions/{executions[-1]['id']}")).json()
    assert ARGUMENT not in json.dumps([executions, detail])


async def test_what_fails_says_no_value(scene: Scene) -> None:
    await scene.register("failing", **program(TOKEN=REFERENCE))
    refused = await scene.call("failing", "short", text="{secret.ARGUMENT}")
    assert refused["error"]["code"] == "arguments_invalid"
    assert "{secret.ARGUMENT}" in json.dumps(refused["error"])
    assert ARGUMENT not in json.dumps(refused)
    failed = await scene.call("failing", "fail", text="{secret.ARGUMENT}")
    assert failed["error"]["message"] == "I got {secret.TOKEN} and {secret.ARGUMENT}."
    assert "started with" in (await asyncio.to_thread(scene.log.read_text))

    await scene.register(
        "away", server_type="streamable_http", url=f"http://127.0.0.1:{free_port()}/mcp?key={REFERENCE}",
        config={"headers": {"x-key": REFERENCE}},
    )  # fmt: skip
    for result in (await scene.call("away", "look"), await scene.call("away", "look")):
        assert result["status"] == "error"
        assert FIRST not in json.dumps(result)


async def test_a_tenant_cannot_use_anothers(scene: Scene) -> None:
    stranger = await scene.tenants.new_tenant("gateway-stranger")
    me = await scene.tenants.call("GET", "auth/me", stranger)
    theirs = msgspec.structs.replace(scene, owner=stranger, tenant=UUID(me.json()["tenant_id"]))
    await theirs.register("started", **program(TOKEN=REFERENCE))
    assert (await theirs.call("started", "seen"))["error"]["code"] == "secret_not_found"
    arguments = {"server_id": "calculator", "tool_name": "add", "arguments": {"a": "{secret.ARGUMENT}", "b": 1}}
    (result,) = await scene.running.ask(task(theirs.tenant, {**arguments, "secret_paths": [["arguments", "a"]]}))
    assert result["error"]["code"] == "secret_not_found"


async def test_no_value_is_in_the_database_or_the_log(scene: Scene, backbone: Backbone) -> None:
    async with scene.client() as client:
        assert (await client.get("/executions")).status_code == 200  # waits until what was called is written
        shown = json.dumps([(await client.get(path)).json() for path in ("/servers", "/discover", "/health")])
    values = (FIRST, SECOND, THIRD, ARGUMENT)
    admin = await asyncpg.connect(backbone.admin_dsn)
    try:
        tables = await admin.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'mcp_gateway'"
        )
        for (table,) in tables:
            rows = await admin.fetch(f'SELECT t::text FROM mcp_gateway."{table}" t')
            texts = [row[0] for row in rows]
            for value in values:
                found = [text for text in texts if value in text or value.encode().hex() in text]
                assert not found, table
        assert await admin.fetchval("SELECT count(*) FROM mcp_gateway.events") > 10
    finally:
        await admin.close()
    log = scene.log.read_text()
    for value in values:
        assert value not in shown
        assert value not in log, "a server prints what it was started with, and that is logged without the value"
    assert "{secret.TOKEN}" in log
