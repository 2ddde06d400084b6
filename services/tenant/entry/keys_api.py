"""HTTP: API keys."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, post
from litestar.datastructures import State

from services.tenant.app.keys import ApiKeys
from services.tenant.entry.answers import at, claim_of, created, next_cursor, window
from services.tenant.entry.routes import account_route
from services.tenant.entry.shapes import ApiKeyBody, ApiKeyPage, CreatedApiKey
from shared.auth.scopes import TENANTS_ADMIN
from shared.http.pages import DEFAULT_LIMIT, Cursor, Limit, Offset
from shared.scope import TenantScope

_KEYS = account_route("api-keys", scope=TENANTS_ADMIN)


@post("/api/v1/api-keys", summary="Create an API key", **_KEYS)
async def create_key(
    request: Request[Any, Any, Any], data: ApiKeyBody, caller: TenantScope, state: State
) -> Response[CreatedApiKey]:
    """Create a key with some of one's own scopes. The key is in this answer and nowhere else."""
    keys: ApiKeys = state.api_keys
    claim = claim_of(request, data, caller, "api-key")
    row, key, position = await keys.create(caller, data.name, data.scopes, data.expires_at, claim)
    body = CreatedApiKey(
        row.id, row.tenant_id, row.name, row.prefix, row.scopes, row.created_by, row.created_at, row.expires_at, key
    )
    return created(body, f"/api/v1/api-keys/{row.id}", position)


@get("/api/v1/api-keys", summary="List API keys", **_KEYS)
async def list_keys(
    caller: TenantScope, state: State, offset: Offset = 0, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> ApiKeyPage:
    """Answer the tenant's keys, revoked ones too."""
    keys: ApiKeys = state.api_keys
    page = await keys.page(caller, window(offset, limit, cursor))
    return ApiKeyPage(page.rows, page.total, offset, limit, next_cursor(page, limit))


@delete("/api/v1/api-keys/{key_id:uuid}", summary="Revoke an API key", **_KEYS)
async def revoke_key(key_id: UUID, caller: TenantScope, state: State) -> Response[None]:
    """Revoke a key; every service refuses it within a second."""
    keys: ApiKeys = state.api_keys
    return Response(None, status_code=204, headers=at(await keys.revoke(caller, key_id)))


KEYS: list[Any] = [create_key, list_keys, revoke_key]
