"""HTTP: secrets. Values come in and never go out."""

from typing import Any

from litestar import Request, Response, delete, get, post
from litestar.datastructures import State

from services.tenant.app.ports import SecretRow
from services.tenant.app.secrets import Secrets
from services.tenant.entry.answers import at, claim_of, created, next_cursor, window
from services.tenant.entry.routes import account_route
from services.tenant.entry.shapes import SecretBody, SecretPage
from shared.auth.scopes import TENANTS_ADMIN
from shared.http.pages import DEFAULT_LIMIT, Cursor, Limit, Offset
from shared.scope import TenantScope

_SECRETS = account_route("secrets", scope=TENANTS_ADMIN)


@post("/api/v1/secrets", summary="Set a secret", **_SECRETS)
async def set_secret(
    request: Request[Any, Any, Any], data: SecretBody, caller: TenantScope, state: State
) -> Response[SecretRow]:
    """Give a name a value, in place of the one that it had before. The value is in no answer."""
    secrets: Secrets = state.secrets
    claim = claim_of(request, data, caller, "secret-set")
    row, position = await secrets.put(caller, data.name, data.value, data.description, claim)
    return created(row, f"/api/v1/secrets/{row.name}", position)


@get("/api/v1/secrets", summary="List secrets", **_SECRETS)
async def list_secrets(
    caller: TenantScope, state: State, offset: Offset = 0, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> SecretPage:
    """Answer the names and versions of the tenant's secrets, not their values."""
    secrets: Secrets = state.secrets
    page = await secrets.page(caller, window(offset, limit, cursor))
    return SecretPage(page.rows, page.total, offset, limit, next_cursor(page, limit))


@delete("/api/v1/secrets/{name:str}", summary="Delete a secret", **_SECRETS)
async def delete_secret(name: str, caller: TenantScope, state: State) -> Response[None]:
    """Delete a secret; what names it fails from then on."""
    secrets: Secrets = state.secrets
    return Response(None, status_code=204, headers=at(await secrets.delete(caller, name)))


SECRETS: list[Any] = [set_secret, list_secrets, delete_secret]
