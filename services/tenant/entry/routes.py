"""What routes of this API need beside a verified credential."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from services.tenant.app.accounts import Accounts


async def in_good_standing(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Ask the rows whether tenant and user or key are good now; runs after the guard that verifies the credential.

    Credentials are made here: nobody who was revoked a moment ago, by any replica, may make themselves a new one.
    """
    accounts: Accounts = connection.app.state.accounts
    await accounts.require_standing(connection.state.tenant_scope)


def account_route(tag: str, *, scope: str | None = None) -> dict[str, Any]:
    """Return the options of a route for whoever is in good standing, and has `scope` if one is given."""
    opt: dict[str, Any] = {"scope": scope} if scope else {"authenticated": True}
    return {"opt": opt, "tags": [tag], "guards": [in_good_standing]}
