"""Builds the Litestar application of a service: what is the same in all of them stands here."""

from collections.abc import Sequence
from typing import Any

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import ScalarRenderPlugin, SwaggerRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import Message, Scope
from prometheus_client import CollectorRegistry

from shared.auth.verifier import Verifier
from shared.http.auth import Entrance, provide_scope
from shared.http.bodies import JsonRequest
from shared.http.operations import OPERATIONS, Check
from shared.http.problems import EXCEPTION_HANDLERS
from shared.limits import HTTP_BODY_MAX_BYTES


async def _answer_trace(message: Message, scope: Scope) -> None:
    traceparent = scope.get("state", {}).get("traceparent")
    if traceparent is not None and message["type"] == "http.response.start":
        message["headers"] = [*message.get("headers", ()), (b"traceparent", traceparent.encode())]


def make_app(
    service: str,
    title: str,
    handlers: Sequence[Any],
    *,
    verifier: Verifier,
    registry: CollectorRegistry,
    readiness: dict[str, Check],
    state: dict[str, Any],
) -> Litestar:
    """Return the service's ASGI application. `state` holds what its handlers need, by name."""
    return Litestar(
        route_handlers=[*OPERATIONS, *handlers],
        middleware=[Entrance],
        dependencies={"caller": Provide(provide_scope)},
        exception_handlers=EXCEPTION_HANDLERS,
        request_class=JsonRequest,
        before_send=[_answer_trace],
        request_max_body_size=HTTP_BODY_MAX_BYTES,
        openapi_config=OpenAPIConfig(
            title=title,
            version="1",
            # What the API offers is no secret: its description needs no credential.
            openapi_router=Router(f"/docs/{service}", route_handlers=[], opt={"public": True}),
            render_plugins=[SwaggerRenderPlugin(path="/"), ScalarRenderPlugin(path="/scalar")],
            components=Components(security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer")}),
            security=[{"bearer": []}],
        ),
        state=State({"service": service, "verifier": verifier, "registry": registry, "readiness": readiness, **state}),
        logging_config=None,
    )
