"""Hears that something happened to an execution that somebody waits for: its public events, of its tenant alone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

_HEARD = ("workflow.execution.*", "workflow.step.waiting")


class _Tenant:
    """The executions of one tenant that somebody waits for."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[asyncio.Event]] = {}
        self.subscriptions: list[Subscription] = []

    async def on_event(self, message: Msg) -> None:
        for happened in self.waiting.get((message.headers or {}).get("ce-subject", ""), ()):
            happened.set()


class ExecutionEvents:
    """One pair of subscriptions for each tenant that somebody waits in. What is not heard is not repeated."""

    def __init__(self, client: Callable[[], Client]) -> None:
        self._client = client
        self._tenants: dict[UUID, _Tenant] = {}
        self._changing = asyncio.Lock()

    @asynccontextmanager
    async def follow(self, tenant_id: UUID, execution_id: UUID) -> AsyncIterator[asyncio.Event]:
        """Lend what is set when something happens. What is sent on the same connection later is heard of."""
        key, happened = str(execution_id), asyncio.Event()
        tenant = self._tenants.setdefault(tenant_id, _Tenant())
        tenant.waiting.setdefault(key, []).append(happened)
        try:
            async with self._changing:
                await self._hear(tenant_id, tenant)
            yield happened
        finally:
            tenant.waiting[key].remove(happened)
            if not tenant.waiting[key]:
                del tenant.waiting[key]
            await self._let_go(tenant_id, tenant)

    async def _hear(self, tenant_id: UUID, tenant: _Tenant) -> None:
        for subject in _HEARD[len(tenant.subscriptions) :]:
            heard = await self._client().subscribe(f"events.{tenant_id}.{subject}", cb=tenant.on_event)
            tenant.subscriptions.append(heard)

    async def _let_go(self, tenant_id: UUID, tenant: _Tenant) -> None:
        async with self._changing:
            if tenant.waiting or self._tenants.get(tenant_id) is not tenant:
                return
            del self._tenants[tenant_id]
            for heard in tenant.subscriptions:
                with suppress(NatsError):  # the connection went, and the subscription with it
                    await heard.unsubscribe()
