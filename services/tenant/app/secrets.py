"""Secrets: set, listed and deleted by the tenant's admins; read by the services that may, and by nobody else."""

from uuid import UUID

from services.tenant.app.claims import made_before
from services.tenant.app.ports import Claim, Clock, Page, Registry, SecretRow, SecretStore, Window
from services.tenant.domain import secrets
from services.tenant.domain.secrets import DeleteSecret, SetSecret
from services.tenant.metrics import Metrics
from shared.errors import Conflict, FieldFault, PlatformError, Unprocessable
from shared.ids import derived_id
from shared.limits import SECRET_VALUE_MAX_BYTES
from shared.scope import TenantScope
from shared.secrets.questions import Question, Readers
from shared.texts import is_storable


class Secrets:
    """What a tenant does with its secrets. Methods that write return the position of the last event."""

    def __init__(self, store: SecretStore, registry: Registry, clock: Clock) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock

    async def page(self, scope: TenantScope, window: Window) -> Page[SecretRow]:
        """List the tenant's secrets, without their values."""
        return await self._store.page(scope, window)

    async def put(
        self, scope: TenantScope, name: str, value: str, description: str, claim: Claim
    ) -> tuple[SecretRow, int]:
        """Give the secret of this name a value. The one that it had before is gone.

        For a request that was answered before, the row is returned as it is now, with position 0.
        """
        _check(value)
        if await made_before(self._registry, scope, claim):
            seen = await self._store.secret(scope, name)
            if seen is None:
                raise Conflict("The secret that this Idempotency-Key set was deleted since.")
            return seen, 0
        stream_id = _stream(scope.tenant_id, name)
        history = await self._registry.history(scope, stream_id)
        async with self._store.change(scope) as change:
            others = await change.count()
            state = secrets.fold(history)
            events = secrets.decide(state, SetSecret(name, others))
            await change.claim(claim)
            row = await change.put(stream_id, name, value, description, state.version + 1, self._clock())
            change.record(stream_id, len(history), events)
        return row, change.position

    async def delete(self, scope: TenantScope, name: str) -> int:
        """Delete a secret with its value."""
        stream_id = _stream(scope.tenant_id, name)
        history = await self._registry.history(scope, stream_id)
        async with self._store.change(scope) as change:
            events = secrets.decide(secrets.fold(history), DeleteSecret(name))
            await change.remove(name)
            change.record(stream_id, len(history), events)
        return change.position

    async def erase(self, scope: TenantScope) -> None:
        """Destroy the tenant's data key, and delete every secret.

        What copies of the database hold of them cannot be read by anybody after that.
        """
        async with self._store.change(scope) as change:
            for name in await change.names():
                stream_id = _stream(scope.tenant_id, name)
                history = await self._registry.history(scope, stream_id)
                await change.remove(name)
                change.record(stream_id, len(history), secrets.decide(secrets.fold(history), DeleteSecret(name)))
            await change.destroy_data_key()


class SecretReads:
    """Answers the services that may read secrets."""

    def __init__(self, store: SecretStore, readers: Readers, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._readers = readers
        self._clock = clock
        self._metrics = metrics

    async def values(self, question: Question) -> dict[str, str]:
        """Return the values of those names that an active tenant has. Raises `Unauthenticated`, `Unavailable`."""
        try:
            self._readers.check(question, self._clock().timestamp())
            found = await self._store.values(TenantScope(question.tenant_id, "service:tenant"), question.names)
        except PlatformError:
            self._metrics.secret_reads.labels("refused").inc()
            raise
        self._metrics.secret_reads.labels("accepted").inc()
        return found


def _stream(tenant_id: UUID, name: str) -> UUID:
    return derived_id("secret", tenant_id, name)


def _check(value: str) -> None:
    if not is_storable(value):
        fault = FieldFault("value", "It has U+0000 or half of a surrogate pair in it.", "bad_text")
        raise Unprocessable("The value is no text that could be passed on.", faults=[fault])
    if len(value.encode()) > SECRET_VALUE_MAX_BYTES:
        fault = FieldFault("value", f"At most {SECRET_VALUE_MAX_BYTES} bytes.", "too_long")
        raise Unprocessable("The value is too long.", faults=[fault])
