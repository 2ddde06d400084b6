"""HTTP: logging in, and who one is."""

from uuid import UUID

from litestar import Response, get, post
from litestar.datastructures import State

from services.tenant.app.accounts import Accounts
from services.tenant.app.logins import AccessToken, Logins
from services.tenant.app.ports import Registry, TokenSigner
from services.tenant.entry.shapes import KeySet, LoginBody, Me
from shared.errors import Unauthenticated
from shared.scope import TenantScope


@post("/api/v1/auth/login", status_code=200, opt={"public": True}, summary="Log in", tags=["auth"])
async def login(data: LoginBody, state: State) -> Response[AccessToken]:
    """Exchange an e-mail address and a password for an access token."""
    logins: Logins = state.logins
    token = await logins.by_password(data.email, data.password, data.tenant)
    return Response(token, headers={"Cache-Control": "no-store"})


@get("/api/v1/auth/me", opt={"authenticated": True}, summary="Whom the credential stands for", tags=["auth"])
async def me(caller: TenantScope, state: State) -> Me:
    """Answer the tenant, the actor and the scopes of the credential."""
    accounts: Accounts = state.accounts
    registry: Registry = state.registry_of_accounts
    tenant = await accounts.tenant(caller, caller.tenant_id)
    answer = Me(caller.actor, tenant.id, tenant.slug, sorted(caller.scopes))
    user_id = _user_id(caller.actor)
    if user_id is not None:
        user = await registry.user(caller, user_id)
        if user is None:
            raise Unauthenticated("This user exists no longer.")
        answer.email, answer.role = user.email, user.role
    return answer


@get("/.well-known/jwks.json", opt={"public": True}, summary="Keys to verify tokens with", tags=["auth"])
async def jwks(state: State) -> Response[KeySet]:
    """Answer the public keys (RFC 7517)."""
    signer: TokenSigner = state.signer
    return Response(KeySet(await signer.jwks()), headers={"Cache-Control": "public, max-age=60"})


def _user_id(actor: str) -> UUID | None:
    kind, _, name = actor.partition(":")
    if kind != "user":
        return None
    try:
        return UUID(name)
    except ValueError:  # the operator is no user of the tenant
        return None
