"""The Ed25519 key that access tokens are signed with: made when there is none, kept wrapped."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import asyncpg
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.tenant.adapters.secret_keys import Wrapping
from services.tenant.limits import OPERATOR_TOKEN_S
from shared.db.queries import load_queries
from shared.errors import Unavailable

_sql = load_queries(Path(__file__).parent / "sql" / "signing.sql")


class PostgresSigner:
    """`TokenSigner`.

    A key is retired by setting `retired_at`; the next token is signed with a new one. Deleting its row also takes away
    what it signed.
    """

    def __init__(self, pool: "asyncpg.Pool[Any]", wrapping: Wrapping) -> None:
        self._pool = pool
        self._wrapping = wrapping
        self._active: tuple[str, Ed25519PrivateKey] | None = None

    @classmethod
    async def open(cls, pool: "asyncpg.Pool[Any]", wrapping: Wrapping) -> "PostgresSigner":
        """Read the active key, so that a wrong master key is seen at the start; wrap it anew if that was changed."""
        signer = cls(pool, wrapping)
        await signer._current()
        for row in await pool.fetch(_sql.every):
            renewed = wrapping.rewrapped(row["wrapped_key"], _name(row["kid"]))
            if renewed is not None:
                await pool.execute(_sql.rewrap, row["kid"], row["wrapped_key"], renewed)
        return signer

    async def sign(self, claims: dict[str, Any]) -> str:
        """Return a JWT (RFC 8037: EdDSA)."""
        kid, key = await self._current()
        return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": kid})

    async def jwks(self) -> list[dict[str, Any]]:
        """Return every key that a token may be signed with."""
        return [
            {**_jwk(row["public_key"]), "kid": row["kid"], "alg": "EdDSA", "use": "sig"}
            for row in await self._pool.fetch(_sql.published, float(OPERATOR_TOKEN_S))
        ]

    async def _current(self) -> tuple[str, Ed25519PrivateKey]:
        """Return the active key; make it if there is none (of several replicas, one makes it)."""
        row = await self._pool.fetchrow(_sql.active)
        if row is None:
            key = Ed25519PrivateKey.generate()
            public = key.public_key().public_bytes_raw()
            kid = thumbprint(public)
            wrapped = self._wrapping.wrap(key.private_bytes_raw(), _name(kid))
            await self._pool.execute(_sql.add, kid, public, wrapped)
            row = await self._pool.fetchrow(_sql.active)
        if row is None:
            raise Unavailable("The signing key was retired while it was being read.")
        if self._active is None or self._active[0] != row["kid"]:
            secret = self._wrapping.unwrap(row["wrapped_key"], _name(row["kid"]))
            self._active = row["kid"], Ed25519PrivateKey.from_private_bytes(secret)
        return self._active


def token_expiry(verified: str) -> int | None:
    """Return when a token that was verified expires (Unix seconds); None if the credential is no token."""
    try:
        return int(jwt.decode(verified, options={"verify_signature": False})["exp"])
    except jwt.DecodeError:
        return None


def thumbprint(public: bytes) -> str:
    """Return the key's name (RFC 7638)."""
    text = json.dumps(_jwk(public), separators=(",", ":"), sort_keys=True)
    return _base64url(hashlib.sha256(text.encode()).digest())


def _jwk(public: bytes) -> dict[str, str]:
    return {"crv": "Ed25519", "kty": "OKP", "x": _base64url(public)}


def _name(kid: str) -> str:
    return f"signing-key:{kid}"


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
