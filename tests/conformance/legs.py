"""What the suite is run against, one leg after the other."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from tests.backbone import Backbone, serve_backbone
from tests.conformance.listener import with_bearer
from tests.conformance.suite import EXTENSION, Suite
from tests.conformance.verdict import Outcome
from tests.fixtures.gateway_process import gateway, token
from tests.fixtures.mcp_clients import COMMANDS, everything_by_http, register_everything

REVISIONS = ("2025-11-25", "2026-07-28")
OLD_AUTHORISATION = "2025-03-26"  # two scenarios of how authorisation was then
PROFILE = "/mcp/everything"  # the profile of that server alone, whose tools have their own names

Target = Callable[[Path], AbstractAsyncContextManager[str]]
"""Serves what is tested and gives its address. What it has to say for itself goes into the folder."""


class Leg(NamedTuple):
    name: str
    run: Callable[[Suite], Awaitable[list[Outcome]]]


@asynccontextmanager
async def _upstream(_: Path) -> AsyncIterator[str]:
    """The server behind the gateway, alone: what nobody in front of it can surpass."""
    async with everything_by_http() as port:
        yield f"http://localhost:{port}/mcp"


@asynccontextmanager
async def _gateway_over_stdio(folder: Path) -> AsyncIterator[str]:
    async with serve_backbone() as backbone, _gateway(backbone, folder) as url:
        yield url


@asynccontextmanager
async def _gateway_over_http(folder: Path) -> AsyncIterator[str]:
    async with serve_backbone() as backbone, everything_by_http() as port, _gateway(backbone, folder, port) as url:
        yield url


@asynccontextmanager
async def _gateway(backbone: Backbone, folder: Path, port: int | None = None) -> AsyncIterator[str]:
    tenant = uuid4()
    allowed = "" if port is None else f"127.0.0.1:{port}"
    log = folder / "gateway.log"
    async with gateway(backbone, commands=COMMANDS, allowed_hosts=allowed, log=log) as running:
        await register_everything(running, tenant, port)
        async with with_bearer(running.url.removeprefix("http://"), token(tenant)) as listening:
            yield f"http://localhost:{listening}{PROFILE}"


def _server_leg(target: str, serve: Target, revision: str) -> Leg:
    name = f"{target} {revision}"

    async def run(suite: Suite) -> list[Outcome]:
        folder = suite.folder_of(name)
        async with serve(folder) as url:
            return await suite.of_server(url, revision, name)

    return Leg(name, run)


def _client_leg(revision: str) -> Leg:
    name = f"client {revision}"
    return Leg(name, lambda suite: suite.of_client(revision, name))


_TARGETS = {"upstream": _upstream, "gateway over http": _gateway_over_http, "gateway over stdio": _gateway_over_stdio}

LEGS = (
    *(_server_leg(name, serve, revision) for name, serve in _TARGETS.items() for revision in REVISIONS),
    _server_leg("gateway over http", _gateway_over_http, EXTENSION),
    *(_client_leg(revision) for revision in (OLD_AUTHORISATION, *REVISIONS, EXTENSION)),
)
