"""Who may call a route. It says `scope=<scope>`, `authenticated=True` or `public=True`; else it answers nobody."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.exceptions import ImproperlyConfiguredException
from litestar.handlers.base import BaseRouteHandler

from shared.auth.verifier import Verifier
from shared.errors import Unauthenticated
from shared.scope import TenantScope


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Verify the bearer credential and its scope before the handler runs."""
    if handler.opt.get("public"):
        return
    needed = handler.opt.get("scope")
    if not isinstance(needed, str) and not handler.opt.get("authenticated"):
        raise ImproperlyConfiguredException(f"{handler} says neither scope= nor authenticated=True nor public=True")
    scheme, _, credential = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not credential:
        raise Unauthenticated("Send `Authorization: Bearer <token or API key>`.")
    verifier: Verifier = connection.app.state.verifier
    scope = await verifier.verify(credential.strip())
    if isinstance(needed, str):
        scope.require(needed)
    connection.state.tenant_scope = scope


async def provide_scope(request: ASGIConnection[Any, Any, Any, Any]) -> TenantScope:
    """Dependency `caller` (Litestar keeps the name `scope` to itself): who is asking."""
    scope = request.state.get("tenant_scope")
    if not isinstance(scope, TenantScope):
        raise Unauthenticated("This needs a credential.")
    return scope
