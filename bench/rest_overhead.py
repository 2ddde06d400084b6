"""What stands around a tool call by REST: `python -m bench.rest_overhead`, µs of processor time per request.

The gateway's own route is asked through the ASGI interface, with a tool that costs nothing and a known credential: what
is left is routing, the entrance, decoding and encoding. The least of many turns, which other work disturbs least.
"""

import datetime as dt
import time
from typing import Any
from uuid import UUID

import uvloop
from litestar import Litestar
from prometheus_client import CollectorRegistry

from services.mcp_gateway.domain.call import CallOutcome, CallRequest
from services.mcp_gateway.entry.executions_api import EXECUTION_ROUTES
from services.mcp_gateway.errors import STATUSES
from shared.http.app import make_app
from shared.http.problems import register_statuses
from shared.scope import TenantScope

_BODY = b'{"server_id":"bench","tool_name":"add","tool_input":{"a":1,"b":2}}'
_TURNS, _REQUESTS = 40, 400
_ID = UUID(int=1)
_CALLER = TenantScope(_ID, "key:bench", frozenset({"mcp:execute"}))
_HEADERS = [
    (b"host", b"localhost"),
    (b"content-type", b"application/json"),
    (b"accept", b"application/json"),
    (b"authorization", b"Bearer ap_bench_0123456789abcdef0123456789abcdef"),
    (b"content-length", str(len(_BODY)).encode()),
]


class _Known:
    async def verify(self, _: str) -> TenantScope:
        return _CALLER


class _Free:
    async def execute(self, _: TenantScope, request: CallRequest) -> CallOutcome:
        now = dt.datetime.now(dt.UTC)
        return CallOutcome(request.id, _ID, request.tool_name, now, now, 1.0, {"result": 3})


def _app() -> Litestar:
    register_statuses(STATUSES)
    verifier: Any = _Known()
    state = {"calls": _Free(), "tenants": None, "records": None, "views": None}
    return make_app(
        "mcp_gateway", "Bench", EXECUTION_ROUTES, verifier=verifier, registry=CollectorRegistry(), readiness={},
        state=state,
    )  # fmt: skip


async def main() -> None:
    """Measure and print."""
    app = _app()
    statuses: list[int] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": _BODY, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def ask() -> None:
        scope: Any = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
            "path": "/api/v1/mcp/execute", "raw_path": b"/api/v1/mcp/execute", "query_string": b"", "root_path": "",
            "scheme": "http", "server": None, "client": None, "state": {}, "headers": _HEADERS,
        }  # fmt: skip
        await app(scope, receive, send)

    costs = []
    for _ in range(_TURNS):
        began = time.process_time()
        for _ in range(_REQUESTS):
            await ask()
        costs.append((time.process_time() - began) / _REQUESTS * 1e6)
    if {*statuses} != {200}:
        raise RuntimeError(f"answered with { ({*statuses}) }")
    print(f"{min(costs):.1f}", flush=True)


if __name__ == "__main__":
    uvloop.run(main())
