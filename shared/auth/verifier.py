"""Turns a bearer credential into a `TenantScope`: access tokens are verified here, API keys by the tenant service."""

import hashlib
import time
from collections import OrderedDict
from contextlib import suppress
from typing import Any, Protocol
from uuid import UUID

import jwt
import msgspec

from shared.auth.limits import JWKS_MAX_AGE_S, JWKS_RETRY_S, REVOKED_MAX, REVOKED_S
from shared.errors import Unauthenticated, Unavailable
from shared.limits import CREDENTIAL_CACHE_S, CREDENTIAL_CACHE_SIZE, CREDENTIAL_MAX_BYTES, JWKS_MIN_INTERVAL_S
from shared.scope import TenantScope

ISSUER = "agentic-platform"
API_KEY_PREFIX = "ap_"
_ALGORITHM = "EdDSA"


class VerifiedKey(msgspec.Struct, frozen=True):
    """What the tenant service says of a good API key."""

    tenant_id: UUID
    actor: str
    scopes: list[str]


class Authority(Protocol):
    """The tenant service, as the others see it."""

    async def jwks(self) -> list[dict[str, Any]]:
        """Return the public keys (RFC 7517, OKP Ed25519) that tokens may be signed with."""
        ...

    async def verify_api_key(self, key: str) -> VerifiedKey:
        """Return whose key this is. Raises `Unauthenticated`."""
        ...


class Verifier:
    """Verifies credentials; good ones are remembered for seconds, so that a hot client costs a look-up.

    Who was revoked is remembered for longer: a token says nothing of it, and a key may have been verified just before.
    """

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._revoked: OrderedDict[str, float] = OrderedDict()
        self._keys: dict[str, Any] = {}
        self._keys_read_at = self._keys_stale_at = float("-inf")
        self._known: OrderedDict[bytes, tuple[float, TenantScope]] = OrderedDict()

    async def verify(self, credential: str) -> TenantScope:
        """Return who this is. Raises `Unauthenticated`, with no hint that would help a guesser."""
        if len(credential) > CREDENTIAL_MAX_BYTES:
            raise Unauthenticated("The credential is too long.")
        scope = await self._scope_of(credential)
        if scope.actor in self._revoked:
            raise Unauthenticated("The credential was revoked.")
        return scope

    def revoke(self, actor: str) -> None:
        """Refuse whoever acts as this (`user:<id>`, `key:<id>`) from now on, until their last token has expired."""
        now = time.time()
        self._revoked.pop(actor, None)
        self._revoked[actor] = now + REVOKED_S
        while len(self._revoked) > REVOKED_MAX or next(iter(self._revoked.values())) < now:
            self._revoked.popitem(last=False)

    async def _scope_of(self, credential: str) -> TenantScope:
        digest = hashlib.sha256(credential.encode()).digest()
        now = time.time()
        hit = self._known.get(digest)
        if hit is not None and hit[0] > now:
            return hit[1]
        if credential.startswith(API_KEY_PREFIX):
            key = await self._authority.verify_api_key(credential)
            good_until = now + CREDENTIAL_CACHE_S
            scope = TenantScope(key.tenant_id, key.actor, frozenset(key.scopes))
        else:
            scope, expires = await self._verify_token(credential)
            good_until = min(expires, now + CREDENTIAL_CACHE_S)
        self._known[digest] = (good_until, scope)
        if len(self._known) > CREDENTIAL_CACHE_SIZE:
            self._known.popitem(last=False)
        return scope

    async def _verify_token(self, token: str) -> tuple[TenantScope, float]:
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = await self._key(kid if isinstance(kid, str) else "")
            claims = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                issuer=ISSUER,
                options={"require": ["exp", "iat", "sub", "tid"], "verify_aud": False},
            )
            scopes = frozenset(str(claims.get("scope", "")).split())
            return TenantScope(UUID(str(claims["tid"])), f"user:{claims['sub']}", scopes), float(claims["exp"])
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("The token has expired: log in again or refresh it.") from error
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise Unauthenticated("The token does not verify.") from error

    async def _key(self, kid: str) -> Any:
        now = time.monotonic()
        if kid in self._keys and now > self._keys_stale_at:
            # One request asks whether a key was taken away; if in vain, a later one does.
            self._keys_stale_at = now + JWKS_RETRY_S
            with suppress(Unavailable):
                await self._read_keys()
        elif kid not in self._keys and now - self._keys_read_at > JWKS_MIN_INTERVAL_S:
            # An unknown key id may be a rotation; a flood of made-up ones must not become a flood of requests.
            await self._read_keys()
        if kid not in self._keys:
            raise Unauthenticated("The token is signed with a key that is not known here.")
        return self._keys[kid]

    async def _read_keys(self) -> None:
        self._keys = {str(k["kid"]): jwt.PyJWK(k, algorithm=_ALGORITHM).key for k in await self._authority.jwks()}
        self._keys_read_at = time.monotonic()
        self._keys_stale_at = self._keys_read_at + JWKS_MAX_AGE_S
