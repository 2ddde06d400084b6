"""Access tokens: for a password, and for the operator."""

from uuid import UUID

import msgspec

from services.tenant.app.ports import Clock, Directory, Passwords, TokenSigner
from services.tenant.domain.roles import OPERATOR_ACTOR, SCOPES
from services.tenant.domain.users import normal_address
from services.tenant.limits import OPERATOR_TOKEN_S
from services.tenant.metrics import Metrics
from shared.auth.limits import ACCESS_TOKEN_S
from shared.auth.verifier import ISSUER
from shared.errors import Unauthenticated
from shared.ids import new_id


class AccessToken(msgspec.Struct, frozen=True):
    """A JWT and for how many seconds it is good."""

    access_token: str
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105 — the scheme's name (RFC 6750)


class Logins:
    """Issues access tokens."""

    def __init__(
        self, directory: Directory, passwords: Passwords, signer: TokenSigner, clock: Clock, metrics: Metrics
    ) -> None:
        self._directory = directory
        self._passwords = passwords
        self._signer = signer
        self._clock = clock
        self._metrics = metrics

    async def by_password(self, email: str, password: str, tenant_slug: str | None) -> AccessToken:
        """Return a token for a user. Raises `Unauthenticated`, in the same words and time for each reason.

        An address that has accounts in several tenants needs the tenant named: guessing by which of them the password
        fits would tell one tenant's password to the other's log-in.
        """
        found = await self._directory.logins(normal_address(email), tenant_slug)
        one = found[0] if len(found) == 1 else None
        good = await self._passwords.check(one.password_hash if one else None, password)
        self._metrics.logins.labels("accepted" if good else "refused").inc()
        if one is None or not good:
            raise Unauthenticated(
                "The e-mail address or the password is not right. Name the tenant if you have accounts in several."
            )
        return await self._issue(one.tenant_id, str(one.user_id), one.role, ACCESS_TOKEN_S)

    async def for_operator(self, tenant_id: UUID) -> AccessToken:
        """Return a token with an owner's scopes in a tenant, for whoever proved to be the operator."""
        return await self._issue(tenant_id, OPERATOR_ACTOR.removeprefix("user:"), "owner", OPERATOR_TOKEN_S)

    async def _issue(self, tenant_id: UUID, subject: str, role: str, seconds: int) -> AccessToken:
        now = int(self._clock().timestamp())
        claims = {
            "iss": ISSUER,
            "sub": subject,
            "tid": str(tenant_id),
            "scope": " ".join(sorted(SCOPES[role])),
            "role": role,
            "iat": now,
            "exp": now + seconds,
            "jti": str(new_id()),
        }
        return AccessToken(await self._signer.sign(claims), seconds)
