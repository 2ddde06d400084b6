"""The tenant service as an `Authority` to itself: what the others ask over NATS is here at hand."""

from typing import Any

from services.tenant.app.keys import KeyVerification
from services.tenant.app.ports import TokenSigner
from shared.auth.verifier import VerifiedKey


class LocalAuthority:
    """`shared.auth.verifier.Authority`."""

    def __init__(self, signer: TokenSigner, keys: KeyVerification) -> None:
        self._signer = signer
        self._keys = keys

    async def jwks(self) -> list[dict[str, Any]]:
        """Return the public keys."""
        return await self._signer.jwks()

    async def verify_api_key(self, key: str) -> VerifiedKey:
        """Return whose key this is. Raises `Unauthenticated`."""
        return await self._keys.verify(key)
