"""The edge in front of stand-ins: which path goes where, and what a caller sees when a service is away."""

import asyncio
import shutil
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from infra.local.edge import Edge
from infra.local.kept import Progress
from infra.local.parts import Parts
from infra.local.paths import DataDir
from infra.local.ports import is_free
from shared.settings import SERVICES
from tests.conftest import reachable_folder

pytestmark = pytest.mark.asyncio(loop_scope="module")

STANDIN = Path(__file__).parents[1] / "fixtures" / "standins" / "echo.py"
EDGE_BODY_BYTES = 8_000_000


class Site:
    """An edge, and one echoing process a service, that can be ended and started again."""

    def __init__(self, edge: Edge, sockets: dict[str, Path]) -> None:
        self.edge = edge
        self.sockets = sockets
        self.processes: dict[str, asyncio.subprocess.Process] = {}

    async def begin(self, name: str) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(STANDIN), name, str(self.sockets[name]), stdout=asyncio.subprocess.PIPE
        )
        self.processes[name] = process
        assert process.stdout is not None
        await process.stdout.readline()

    async def end(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        await process.wait()
        self.sockets[name].unlink()

    async def get(self, path: str) -> httpx2.Response:
        async with httpx2.AsyncClient(timeout=10) as client:
            return await client.get(self.edge.url + path)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site() -> AsyncIterator[Site]:
    folder = reachable_folder()
    place = DataDir(folder / "data")
    place.create()

    def ignore(_: Progress) -> None:
        """Nobody watches."""

    parts = Parts(place, ignore)
    sockets = {name: place.run / f"{name}.sock" for name in SERVICES}
    edge = Edge(port=free_port(), sockets=sockets, state=place.edge, log=place.log("edge"))
    one = Site(edge, sockets)
    try:
        await parts.keep("edge", edge)
        await asyncio.gather(*(one.begin(name) for name in SERVICES))
        yield one
    finally:
        for name in list(one.processes):
            await one.end(name)
        await parts.stop()
        shutil.rmtree(folder)


def free_port() -> int:
    return next(port for port in range(18000, 19000) if is_free(port))


@pytest.mark.parametrize(
    ("path", "service", "seen"),
    [
        ("/api/v1/auth/login", "tenant", None),
        ("/api/v1/tenants", "tenant", None),
        ("/api/v1/tenants/1/usage?x=1", "tenant", None),
        ("/api/v1/users", "tenant", None),
        ("/api/v1/api-keys/1/rotate", "tenant", None),
        ("/api/v1/secrets/name", "tenant", None),
        ("/api/v1/audit-log/verify", "tenant", None),
        ("/.well-known/jwks.json", "tenant", None),
        ("/api/v1/mcp/servers", "mcp_gateway", None),
        ("/api/v1/workflows/tasks", "agent", None),
        ("/api/v1/workflows/tasks/1/tree", "agent", None),
        ("/api/v1/workflows/messages", "agent", None),
        ("/api/v1/agents/1/execute", "agent", None),
        ("/api/v1/conversations", "agent", None),
        ("/api/v1/workflows/workflows", "workflow", None),
        ("/api/v1/workflows/workflows/executions/1", "workflow", None),
        ("/api/v1/workflows/tasksX", "workflow", None),
        ("/api/v1/workflows/stats", "workflow", None),
        ("/api/v1/rag/query", "rag", None),
        ("/version", "workflow", None),
        *((f"/health/{name}/ready", name, "/health/ready") for name in SERVICES),
        *((f"/health/{name}/live", name, "/health/live") for name in SERVICES),
        *((f"/version/{name}", name, "/version") for name in SERVICES),
        *((f"/docs/{name}", name, None) for name in SERVICES),
        *((f"/schema/{name}/openapi.json", name, None) for name in SERVICES),
    ],
)
async def test_a_path_reaches_the_service_that_owns_it(site: Site, path: str, service: str, seen: str | None) -> None:
    answer = (await site.get(path)).json()
    assert answer["service"] == service
    assert answer["path"] == (seen or path)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/v1",
        "/api/v1/authx",
        "/api/v1/nothing",
        "/docs/nobody",
        "/docs.html",
        "/health",
        "/health/nobody/ready",
        "/health/tenant/metrics",
        "/version/nobody",
        "/Caddyfile",
        "/mcpx",
        # They speak of all tenants: whoever gathers them asks the services themselves.
        "/metrics",
        "/metrics/",
        *(f"/metrics/{name}" for name in SERVICES),
    ],
)
async def test_a_path_that_nobody_owns_is_a_problem(site: Site, path: str) -> None:
    answer = await site.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "not_found"


async def test_what_the_edge_itself_refuses_is_a_problem(site: Site) -> None:
    async with httpx2.AsyncClient() as client:
        answer = await client.post(site.edge.url + "/docs")
    assert answer.status_code == 405
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Method Not Allowed",
        "status": 405,
        "code": "http_error",
        "detail": "The request cannot be answered.",
    }


async def test_the_platform_is_ready_when_every_service_is(site: Site) -> None:
    answer = await site.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "checks": dict.fromkeys(SERVICES, "ok")}


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_that_is_away_keeps_the_platform_from_being_ready(site: Site, name: str) -> None:
    await site.end(name)
    answer = await site.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["code"] == "unavailable"
    live = await site.get("/health/live")
    assert (live.status_code, live.json()["status"]) == (200, "ok")
    await site.begin(name)


async def test_a_service_that_is_not_ready_says_why_for_the_platform(site: Site) -> None:
    body = b'{"status":"unavailable","checks":{"postgres":"gone"}}'

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    await site.end("rag")
    server = await asyncio.start_unix_server(refuse, str(site.sockets["rag"]))
    async with server:
        answer = await site.get("/health/ready")
    assert (answer.status_code, answer.content) == (503, body)
    assert answer.headers["x-service"] == "rag"
    site.sockets["rag"].unlink(missing_ok=True)
    await site.begin("rag")


async def test_the_documentation_page_leads_to_every_service(site: Site) -> None:
    answer = await site.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert all(f'href="/docs/{name}"' in answer.text for name in SERVICES)
    assert "//" not in answer.text.replace("<!doctype", "")


async def test_a_service_that_stays_away_is_a_503_with_a_problem(site: Site) -> None:
    await site.end("rag")
    began = time.monotonic()
    answer = await site.get("/api/v1/rag/query")
    assert 2.5 < time.monotonic() - began < 6
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "unavailable"
    await site.begin("rag")


async def test_a_service_that_restarts_costs_a_wait_and_no_error(site: Site) -> None:
    await site.end("tenant")
    asked = asyncio.create_task(site.get("/api/v1/tenants"))
    await asyncio.sleep(0.5)
    assert not asked.done()
    await site.begin("tenant")
    assert (await asked).json()["service"] == "tenant"


async def test_bodies_are_bounded(site: Site) -> None:
    async with httpx2.AsyncClient() as client:
        fits = await client.post(site.edge.url + "/api/v1/tenants", content=b"x" * EDGE_BODY_BYTES)
        assert fits.json()["bytes"] == EDGE_BODY_BYTES
        large = await client.post(site.edge.url + "/api/v1/tenants", content=b"x" * (EDGE_BODY_BYTES + 1))
        assert large.status_code == 413
        assert large.json()["code"] == "too_large"


async def test_events_are_passed_on_as_they_come(site: Site) -> None:
    async with (
        httpx2.AsyncClient(timeout=10) as client,
        client.stream("GET", site.edge.url + "/api/v1/agents/sse") as answer,
    ):
        came = [(time.monotonic(), line) async for line in answer.aiter_lines() if line]
    assert [line for _, line in came] == ["data: 0", "data: 1", "data: 2"]
    assert came[-1][0] - came[0][0] > 0.3


async def test_a_caller_cannot_choose_the_address_that_services_see(site: Site) -> None:
    async with httpx2.AsyncClient() as client:
        answer = await client.get(site.edge.url + "/api/v1/tenants", headers={"X-Forwarded-For": "203.0.113.9"})
    assert answer.json()["forwarded_for"] == "127.0.0.1"
