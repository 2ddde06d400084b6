"""HTTP: tenants and users."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, post
from litestar.datastructures import State

from services.tenant.app.accounts import Accounts, NewTenant
from services.tenant.app.ports import TenantRow, UserRow
from services.tenant.entry.answers import at, claim_of, created, next_cursor, window
from services.tenant.entry.routes import account_route
from services.tenant.entry.shapes import TenantBody, Tenants, UserBody, Users
from shared.auth.scopes import TENANTS_ADMIN
from shared.http.pages import DEFAULT_LIMIT, Cursor, Limit, Offset
from shared.scope import TenantScope

_TENANTS = account_route("tenants", scope=TENANTS_ADMIN)
_USERS = account_route("users", scope=TENANTS_ADMIN)


@post("/api/v1/tenants", summary="Create a tenant and its owner", **_TENANTS)
async def create_tenant(
    request: Request[Any, Any, Any], data: TenantBody, caller: TenantScope, state: State
) -> Response[TenantRow]:
    """Create a tenant; only the platform's own may."""
    accounts: Accounts = state.accounts
    new = NewTenant(data.slug, data.name, data.plan, data.owner.email, data.owner.password)
    row, position = await accounts.create_tenant(caller, new, claim_of(request, data, caller, "tenant"))
    return created(row, f"/api/v1/tenants/{row.id}", position)


@get("/api/v1/tenants", summary="List tenants", **_TENANTS)
async def list_tenants(
    caller: TenantScope, state: State, offset: Offset = 0, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Tenants:
    """Answer one's own tenant and those that it created."""
    accounts: Accounts = state.accounts
    page = await accounts.tenants(caller, window(offset, limit, cursor))
    return Tenants(page.rows, page.total, offset, limit, next_cursor(page, limit))


@get("/api/v1/tenants/{tenant_id:uuid}", summary="Read a tenant", **_TENANTS)
async def read_tenant(tenant_id: UUID, caller: TenantScope, state: State) -> TenantRow:
    """Answer one's own tenant, or one that it created."""
    accounts: Accounts = state.accounts
    return await accounts.tenant(caller, tenant_id)


@post("/api/v1/users", summary="Create a user", **_USERS)
async def create_user(
    request: Request[Any, Any, Any], data: UserBody, caller: TenantScope, state: State
) -> Response[UserRow]:
    """Create a user of one's own tenant."""
    accounts: Accounts = state.accounts
    claim = claim_of(request, data, caller, "user")
    row, position = await accounts.create_user(caller, data.email, data.password, data.role, claim)
    return created(row, f"/api/v1/users/{row.id}", position)


@get("/api/v1/users", summary="List users", **_USERS)
async def list_users(
    caller: TenantScope, state: State, offset: Offset = 0, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Users:
    """Answer the tenant's users."""
    accounts: Accounts = state.accounts
    page = await accounts.users(caller, window(offset, limit, cursor))
    return Users(page.rows, page.total, offset, limit, next_cursor(page, limit))


@get("/api/v1/users/{user_id:uuid}", summary="Read a user", **_USERS)
async def read_user(user_id: UUID, caller: TenantScope, state: State) -> UserRow:
    """Answer a user."""
    accounts: Accounts = state.accounts
    return await accounts.user(caller, user_id)


@delete("/api/v1/users/{user_id:uuid}", summary="Delete a user", **_USERS)
async def delete_user(user_id: UUID, caller: TenantScope, state: State) -> Response[None]:
    """Delete a user; every service refuses their access tokens within a second."""
    accounts: Accounts = state.accounts
    return Response(None, status_code=204, headers=at(await accounts.delete_user(caller, user_id)))


ACCOUNTS: list[Any] = [
    create_tenant, list_tenants, read_tenant, create_user, list_users, read_user, delete_user,
]  # fmt: skip
