"""Which NATS subjects the bearer of a credential may use."""

from collections.abc import Callable
from uuid import UUID

import msgspec

from services.tenant.app.ports import Clock
from services.tenant.limits import NATS_SESSION_OF_KEY_S
from services.tenant.metrics import Metrics
from shared.auth.scopes import WORKFLOWS_EXECUTE, WORKFLOWS_READ
from shared.auth.verifier import Verifier
from shared.bus.broker import inbox_prefix
from shared.errors import Forbidden, PlatformError, Unauthenticated


class Admission(msgspec.Struct, frozen=True):
    """What a connection may do, until `expires_at` (Unix seconds)."""

    tenant_id: UUID
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    expires_at: int


class Connections:
    """Decides about tenants' connections to NATS."""

    def __init__(
        self, verifier: Verifier, token_expiry: Callable[[str], int | None], clock: Clock, metrics: Metrics
    ) -> None:
        self._verifier = verifier
        self._token_expiry = token_expiry
        self._clock = clock
        self._metrics = metrics

    async def admit(self, credential: str | None) -> Admission:
        """Return what the bearer may do: hear the tenant's events and, with `workflows:execute`, add external ones.

        Raises `Unauthenticated`, or `Forbidden` without `workflows:read`.
        """
        try:
            admission = await self._decide(credential)
        except PlatformError:
            self._metrics.connections.labels("refused").inc()
            raise
        self._metrics.connections.labels("accepted").inc()
        return admission

    async def _decide(self, credential: str | None) -> Admission:
        if not credential:
            raise Unauthenticated("Connect with `token=<access token or API key>`.")
        scope = await self._verifier.verify(credential)
        if WORKFLOWS_READ not in scope.scopes:
            raise Forbidden(f"Hearing events needs the scope {WORKFLOWS_READ!r}.")
        tenant = scope.tenant_id
        may_publish = WORKFLOWS_EXECUTE in scope.scopes
        return Admission(
            tenant,
            (f"events.{tenant}.external.>",) if may_publish else (),
            (f"events.{tenant}.>", f"{inbox_prefix(str(tenant))}.>"),
            self._token_expiry(credential) or int(self._clock().timestamp()) + NATS_SESSION_OF_KEY_S,
        )
