"""The tenant service, asked over NATS: `queries.tenant.jwks` and `queries.tenant.verify-api-key`."""

from collections.abc import Callable
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError

from shared.auth.verifier import VerifiedKey
from shared.errors import Unauthenticated, Unavailable
from shared.limits import REQUEST_TIMEOUT_S

JWKS_SUBJECT = "queries.tenant.jwks"
VERIFY_KEY_SUBJECT = "queries.tenant.verify-api-key"


class KeyAnswer(msgspec.Struct, omit_defaults=True):
    """Answer to a key: whose it is, or nothing."""

    verified: VerifiedKey | None = None


class JwksAnswer(msgspec.Struct):
    """Answer of the key set."""

    keys: list[dict[str, Any]]


class RemoteAuthority:
    """`Authority` over NATS."""

    def __init__(self, client: Callable[[], Client]) -> None:
        self._client = client

    async def jwks(self) -> list[dict[str, Any]]:
        """Ask for the public keys."""
        return msgspec.json.decode(await self._ask(JWKS_SUBJECT, b""), type=JwksAnswer).keys

    async def verify_api_key(self, key: str) -> VerifiedKey:
        """Ask whose key this is."""
        answer = msgspec.json.decode(await self._ask(VERIFY_KEY_SUBJECT, key.encode()), type=KeyAnswer)
        if answer.verified is None:
            raise Unauthenticated("The API key is not valid, or no longer.")
        return answer.verified

    async def _ask(self, subject: str, body: bytes) -> bytes:
        try:
            return (await self._client().request(subject, body, timeout=REQUEST_TIMEOUT_S)).data
        except (NatsError, TimeoutError) as error:
            raise Unavailable("The tenant service does not answer: try again.", retry_after=1) from error
