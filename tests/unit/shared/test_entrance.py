"""What every request passes before its handler, and what JSON is answered with: through the ASGI interface alone."""

import warnings
from typing import Any
from uuid import UUID

import msgspec
import pytest
from litestar import Response, get, post
from litestar.exceptions import LitestarDeprecationWarning
from prometheus_client import CollectorRegistry

from shared.errors import Unauthenticated
from shared.http.app import make_app
from shared.http.json_response import JsonResponse
from shared.scope import TenantScope

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Sum(msgspec.Struct):
    result: int


class Keys:
    async def verify(self, credential: str) -> TenantScope:
        if credential not in {"good", "weak"}:
            raise Unauthenticated("The credential is not valid.")
        return TenantScope(UUID(int=1), "key:1", frozenset({"sums"} if credential == "good" else ()))


@post("/sum", opt={"scope": "sums"}, status_code=200)
async def add(data: dict[str, int], caller: TenantScope) -> JsonResponse[Sum]:
    return JsonResponse(Sum(sum(data.values())), headers={"X-Actor": caller.actor})


@post("/sum-by-litestar", opt={"scope": "sums"}, status_code=200)
async def add_by_litestar(data: dict[str, int], caller: TenantScope) -> Response[Sum]:
    return Response(Sum(sum(data.values())), headers={"X-Actor": caller.actor})


@post("/created", opt={"authenticated": True})
async def create() -> JsonResponse[bytes]:
    return JsonResponse(b'{"made":true}', status_code=202)


@get("/nothing", opt={"authenticated": True}, status_code=204)
async def nothing() -> JsonResponse[None]:
    return JsonResponse(None)


@get("/open", opt={"public": True})
async def public() -> Sum:
    return Sum(1)


@get("/undeclared")
async def undeclared() -> Sum:
    return Sum(1)


@pytest.fixture(scope="module")
def app() -> Any:
    handlers = [add, add_by_litestar, create, nothing, public, undeclared]
    verifier: Any = Keys()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LitestarDeprecationWarning)  # of `caller`, which is named so in all services
        return make_app(
            "sums", "Sums", handlers, verifier=verifier, registry=CollectorRegistry(), readiness={}, state={}
        )


async def ask(app: Any, method: str, path: str, *headers: tuple[bytes, bytes], body: bytes = b"") -> Any:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http", "server": None,
        "client": None, "state": {}, "headers": [(b"content-type", b"application/json"), *headers],
    }  # fmt: skip
    await app(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(part.get("body", b"") for part in sent[1:])


GOOD = (b"authorization", b"Bearer good")


async def test_who_has_the_scope_gets_in(app: Any) -> None:
    status, headers, body = await ask(app, "POST", "/sum", GOOD, body=b'{"a":1,"b":2}')
    assert (status, body, headers[b"x-actor"]) == (200, b'{"result":3}', b"key:1")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((), 401),
        (((b"authorization", b"Basic good"),), 401),
        (((b"authorization", b"Bearer "),), 401),
        (((b"authorization", b"Bearer stranger"),), 401),
        (((b"authorization", b"Bearer stranger"), GOOD), 401),
        (((b"authorization", b"Bearer weak"),), 403),
    ],
)
async def test_who_has_not_is_refused_before_the_body_is_looked_at(app: Any, headers: Any, status: int) -> None:
    answer = await ask(app, "POST", "/sum", *headers, body=b"no JSON")
    assert answer[0] == status
    assert answer[1][b"content-type"] == b"application/problem+json"


async def test_a_route_that_says_nothing_answers_nobody(app: Any) -> None:
    assert (await ask(app, "GET", "/undeclared", GOOD))[0] == 500


async def test_a_public_route_needs_nothing(app: Any) -> None:
    assert (await ask(app, "GET", "/open"))[::2] == (200, b'{"result":1}')


@pytest.mark.parametrize("path", ["/sum", "/sum-by-litestar", "/open", "/undeclared"])
async def test_a_trace_comes_back_with_every_answer_and_refusal(app: Any, path: str) -> None:
    for credential in ((), (GOOD,)):
        method = "POST" if path.startswith("/sum") else "GET"
        _, headers, _ = await ask(app, method, path, (b"traceparent", TRACE), *credential, body=b"{}")
        assert headers[b"traceparent"] == TRACE


async def test_an_answer_is_the_same_as_litestars_own(app: Any) -> None:
    ours = await ask(app, "POST", "/sum", GOOD, (b"traceparent", TRACE), body=b'{"a":5}')
    theirs = await ask(app, "POST", "/sum-by-litestar", GOOD, (b"traceparent", TRACE), body=b'{"a":5}')
    assert ours == theirs


async def test_bytes_are_sent_as_they_are_and_nothing_as_nothing(app: Any) -> None:
    status, headers, body = await ask(app, "POST", "/created", GOOD)
    assert (status, headers[b"content-length"], body) == (202, b"13", b'{"made":true}')
    status, headers, body = await ask(app, "GET", "/nothing", GOOD)
    assert (status, body) == (204, b"")
    assert b"content-type" not in headers
