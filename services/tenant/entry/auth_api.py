"""HTTP: logging in, and who one is."""

from litestar import Response, get, post
from litestar.datastructures import State

from services.tenant.app.accounts import Accounts
from services.tenant.app.actors import holder_of
from services.tenant.app.logins import AccessToken, Logins
from services.tenant.app.ports import TokenSigner
from services.tenant.entry.routes import account_route
from services.tenant.entry.shapes import KeySet, LoginBody, Me
from shared.scope import TenantScope


@post(
    "/api/v1/auth/login",
    status_code=200,
    opt={"public": True},
    summary="Log in",
    tags=["auth"],
)
async def login(data: LoginBody, state: State) -> Response[AccessToken]:
    """Exchange an e-mail address and a password for an access token."""
    logins: Logins = state.logins
    token = await logins.by_password(data.email, data.password, data.tenant)
    return Response(token, headers={"Cache-Control": "no-store"})


@get("/api/v1/auth/me", summary="Whom the credential stands for", **account_route("auth"))
async def me(caller: TenantScope, state: State) -> Me:
    """Answer the tenant, the actor and the scopes of the credential."""
    accounts: Accounts = state.accounts
    tenant = await accounts.tenant(caller, caller.tenant_id)
    answer = Me(caller.actor, tenant.id, tenant.slug, sorted(caller.scopes))
    holder = holder_of(caller)
    if holder.kind == "user" and holder.id is not None:
        user = await accounts.user(caller, holder.id)
        answer.email, answer.role = user.email, user.role
    return answer


@get("/.well-known/jwks.json", opt={"public": True}, summary="Keys to verify tokens with", tags=["auth"])
async def jwks(state: State) -> Response[KeySet]:
    """Answer the public keys (RFC 7517)."""
    signer: TokenSigner = state.signer
    return Response(KeySet(await signer.jwks()), headers={"Cache-Control": "public, max-age=60"})
