"""API keys: made, revoked, verified."""

import datetime as dt
import os
from uuid import UUID

from services.tenant.app.actors import actor_of
from services.tenant.app.claims import made_before
from services.tenant.app.ports import (
    ApiKeyRow,
    Claim,
    Clock,
    Directory,
    Page,
    Registry,
    Revoked,
    SecretDigester,
    Window,
)
from services.tenant.domain import api_keys
from services.tenant.domain.api_keys import CreateApiKey, RevokeApiKey, format_key, is_well_formed, shown_prefix
from services.tenant.errors import AlreadyShown
from services.tenant.limits import API_KEY_SECRET_BYTES
from services.tenant.metrics import Metrics
from shared.auth.verifier import VerifiedKey
from shared.errors import Unauthenticated
from shared.scope import TenantScope


class ApiKeys:
    """The life of API keys inside a tenant."""

    def __init__(
        self, registry: Registry, digest: SecretDigester, clock: Clock, revoked: Revoked, *, environment: str
    ) -> None:
        self._registry = registry
        self._digest = digest
        self._clock = clock
        self._revoked = revoked
        self._environment = environment

    async def page(self, scope: TenantScope, window: Window) -> Page[ApiKeyRow]:
        """List the tenant's keys."""
        return await self._registry.api_keys(scope, window)

    async def create(
        self,
        scope: TenantScope,
        name: str,
        scopes: frozenset[str],
        expires_at: dt.datetime | None,
        claim: Claim,
    ) -> tuple[ApiKeyRow, str, int]:
        """Create a key; return its row, the key itself (kept nowhere), and the position of the event."""
        key_id = claim.id
        if await made_before(self._registry, scope, claim):
            raise AlreadyShown("This Idempotency-Key made an API key before.", details={"id": str(key_id)})
        key = format_key(self._environment, os.urandom(API_KEY_SECRET_BYTES))
        now = self._clock()
        command = CreateApiKey(name, shown_prefix(key), tuple(sorted(scopes)), expires_at, now)
        events = api_keys.decide(api_keys.ApiKey(), command, actor_of(scope, ()))
        row = ApiKeyRow(
            key_id, scope.tenant_id, name, command.prefix, sorted(scopes), scope.actor, now, expires_at, None, None
        )
        async with self._registry.change(scope) as change:
            await change.claim(claim)
            await change.add_api_key(row, self._digest(key))
            change.record(key_id, 0, events)
        return row, key, change.position

    async def revoke(self, scope: TenantScope, key_id: UUID) -> int:
        """Revoke a key; return the position of the event, 0 if it was revoked before."""
        history = await self._registry.history(scope, key_id)
        events = api_keys.decide(api_keys.fold(history), RevokeApiKey(), actor_of(scope, ()))
        if not events:
            return 0
        async with self._registry.change(scope) as change:
            await change.revoke_api_key(key_id, self._clock())
            change.record(key_id, len(history), events)
        self._revoked(f"key:{key_id}")
        return change.position


class KeyVerification:
    """Says whose key this is."""

    def __init__(self, directory: Directory, digest: SecretDigester, metrics: Metrics) -> None:
        self._directory = directory
        self._digest = digest
        self._metrics = metrics

    async def verify(self, key: str) -> VerifiedKey:
        """Return whose key this is. Raises `Unauthenticated`."""
        record = await self._directory.key(self._digest.every(key)) if is_well_formed(key) else None
        self._metrics.key_checks.labels("accepted" if record else "refused").inc()
        if record is None:
            raise Unauthenticated("The API key is not valid, or no longer.")
        return VerifiedKey(record.tenant_id, f"key:{record.id}", record.scopes)
