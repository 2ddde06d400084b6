"""`/health/live`, `/health/ready`, `/metrics`, `/version`: the same in every service, and open to the cluster."""

import asyncio
import importlib.metadata
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from litestar import Response, get
from litestar.datastructures import State
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from shared.limits import READINESS_TIMEOUT_S

Check = Callable[[], Awaitable[None]]


class Health(msgspec.Struct):
    """Answer of a probe; `checks` says of each thing that is needed `ok` or what is wrong with it."""

    status: str
    checks: dict[str, str] = {}


class Version(msgspec.Struct):
    """What is running."""

    service: str
    version: str


@get("/health/live", opt={"public": True}, summary="The process turns over", tags=["operations"])
async def live() -> Health:
    """Answer as long as the event loop does; never looks at a dependency."""
    return Health("ok")


@get("/health/ready", opt={"public": True}, summary="What is needed answers", tags=["operations"])
async def ready(state: State) -> Response[Health]:
    """Check each dependency; 503 and its name if one is down."""
    checks: dict[str, Check] = state.readiness
    seen = dict(zip(checks, await asyncio.gather(*(_outcome(c) for c in checks.values())), strict=True))
    good = all(outcome == "ok" for outcome in seen.values())
    return Response(Health("ok" if good else "unavailable", seen), status_code=200 if good else 503)


@get("/metrics", opt={"public": True}, summary="Prometheus metrics", tags=["operations"])
async def metrics(state: State) -> Response[bytes]:
    """Answer the service's metrics in Prometheus' text format."""
    registry: CollectorRegistry = state.registry
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


@get("/version", opt={"public": True}, summary="What is running", tags=["operations"])
async def version(state: State) -> Version:
    """Answer the service's name and version."""
    return Version(state.service, importlib.metadata.version("agentic-platform"))


async def _outcome(check: Check) -> str:
    try:
        async with asyncio.timeout(READINESS_TIMEOUT_S):
            await check()
    except Exception as error:  # noqa: BLE001 — whatever is wrong is the answer
        return f"{type(error).__name__}: {error}"[:200]
    return "ok"


OPERATIONS: list[Any] = [live, ready, metrics, version]
