"""Who may call a route. It says `scope=<scope>`, `authenticated=True` or `public=True`; else it answers nobody."""

from typing import Any

from litestar import Request
from litestar.exceptions import ImproperlyConfiguredException
from litestar.types import ASGIApp, Receive, Scope, Send

from shared.auth.verifier import Verifier
from shared.errors import Unauthenticated
from shared.http.raw_headers import header_of
from shared.scope import TenantScope
from shared.telemetry.trace import begin_trace


class Entrance:
    """Begins a request's trace, and verifies the bearer credential and its scope before anything else runs.

    As middleware and not as a guard: before each guard Litestar copies the handler, which costs more than all of this.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in. Raises `Unauthenticated` or `Forbidden`."""
        state = scope["state"]
        state["traceparent"] = begin_trace(header_of(scope["headers"], b"traceparent"))
        if not scope["route_handler"].opt.get("public"):
            state["tenant_scope"] = await _caller(scope)
        await self._app(scope, receive, send)


async def _caller(scope: Scope) -> TenantScope:
    handler = scope["route_handler"]
    needed = handler.opt.get("scope")
    if not isinstance(needed, str) and not handler.opt.get("authenticated"):
        raise ImproperlyConfiguredException(f"{handler} says neither scope= nor authenticated=True nor public=True")
    scheme, _, credential = (header_of(scope["headers"], b"authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or not credential:
        raise Unauthenticated("Send `Authorization: Bearer <token or API key>`.")
    verifier: Verifier = scope["litestar_app"].state.verifier
    caller = await verifier.verify(credential.strip())
    if isinstance(needed, str):
        caller.require(needed)
    return caller


async def provide_scope(request: Request[Any, Any, Any]) -> TenantScope:
    """Dependency `caller` (Litestar keeps the name `scope` to itself): who is asking."""
    scope = request.scope["state"].get("tenant_scope")
    if not isinstance(scope, TenantScope):
        raise Unauthenticated("This needs a credential.")
    return scope
