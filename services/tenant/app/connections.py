"""Which NATS subjects the bearer of a credential may use."""

from collections.abc import Callable
from uuid import UUID

import msgspec

from services.tenant.app.accounts import Accounts
from services.tenant.app.ports import Clock
from services.tenant.limits import NATS_SESSION_OF_KEY_S
from services.tenant.metrics import Metrics
from shared.auth import scopes
from shared.auth.verifier import Verifier
from shared.bus.inboxes import inbox_prefix
from shared.errors import Forbidden, PlatformError, Unauthenticated
from shared.scope import TenantScope

# Whose facts one may hear, by any of these scopes: who may read a service's things may hear what happens to them.
_FACTS: dict[str, frozenset[str]] = {
    "workflow": frozenset({scopes.WORKFLOWS_READ}),
    "mcp_gateway": frozenset({scopes.MCP_READ}),
    "rag": frozenset({scopes.RAG_READ}),
    "agent": frozenset({scopes.AGENTS_READ}),
    "tenant": frozenset({scopes.TENANTS_ADMIN, scopes.AUDIT_READ}),
}


class Admission(msgspec.Struct, frozen=True):
    """What a connection may do, until `expires_at` (Unix seconds)."""

    tenant_id: UUID
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    expires_at: int


class Connections:
    """Decides about tenants' connections to NATS."""

    def __init__(
        self,
        verifier: Verifier,
        accounts: Accounts,
        token_expiry: Callable[[str], int | None],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._verifier = verifier
        self._accounts = accounts
        self._token_expiry = token_expiry
        self._clock = clock
        self._metrics = metrics

    async def admit(self, credential: str | None) -> Admission:
        """Return what the bearer may do: hear the tenant's events by their scopes, and add external ones.

        Raises `Unauthenticated`, or `Forbidden` where the scopes allow nothing.
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
        await self._accounts.require_standing(scope)
        publish, subscribe = subjects_of(scope)
        if not publish and not subscribe:
            raise Forbidden("None of the credential's scopes lets it hear events or publish them.")
        return Admission(
            scope.tenant_id,
            publish,
            (*subscribe, f"{inbox_prefix(str(scope.tenant_id))}.>"),
            self._token_expiry(credential) or int(self._clock().timestamp()) + NATS_SESSION_OF_KEY_S,
        )


def subjects_of(scope: TenantScope) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which subjects of events a scope may publish, and which it may hear.

    Who may hear every service may hear all there is, also what is yet to come. An external event can start a workflow.
    """
    own = f"events.{scope.tenant_id}"
    external = (f"{own}.external.>",) if scopes.WORKFLOWS_EXECUTE in scope.scopes else ()
    heard = [service for service, needed in _FACTS.items() if needed & scope.scopes]
    if len(heard) == len(_FACTS):
        return external, (f"{own}.>",)
    return external, (*(f"{own}.{service}.>" for service in heard), *external)
