"""The webhooks of a workflow: their addresses and keys, for those who may write workflows."""

import datetime as dt
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from services.workflow.app.definitions import WorkflowRepository
from services.workflow.domain.standard_webhooks import signing_secret
from services.workflow.domain.workflow_events import WorkflowWebhookRotated
from services.workflow.errors import WebhookNotFound
from shared.scope import TenantScope


class WebhookRow(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook as it is stored."""

    id: UUID
    name: str
    key_version: int
    previous_until: dt.datetime | None
    created_at: dt.datetime
    rotated_at: dt.datetime | None


class Webhook(msgspec.Struct, frozen=True):
    """A webhook with what is derived from its id."""

    row: WebhookRow
    token: str
    secret: str


class WebhookReads(Protocol):
    """Webhooks of one tenant."""

    async def of(self, scope: TenantScope, workflow_id: UUID) -> Sequence[WebhookRow]:
        """Return the webhooks of a workflow, by name."""
        ...


class WebhookKeys(Protocol):
    """What is secret about webhooks."""

    def token(self, webhook_id: UUID) -> str:
        """Return the last part of its address."""
        ...

    def webhook_of(self, token: str) -> UUID | None:
        """Return whose token it is, None if it is nobody's."""
        ...

    def signing_key(self, webhook_id: UUID, version: int) -> bytes:
        """Return a version of its key."""
        ...


class Webhooks:
    """What can be done to them. Reading and rotating raise `WorkflowNotFound`."""

    def __init__(self, repository: WorkflowRepository, reads: WebhookReads, keys: WebhookKeys) -> None:
        self._repository = repository
        self._reads = reads
        self._keys = keys

    async def of(self, scope: TenantScope, workflow_id: UUID) -> list[Webhook]:
        """Return the webhooks of a workflow, by name."""
        await self._repository.get(scope, workflow_id)
        return [self._shown(row) for row in await self._reads.of(scope, workflow_id)]

    async def rotate(
        self, scope: TenantScope, workflow_id: UUID, name: str, previous_for: dt.timedelta, now: dt.datetime
    ) -> tuple[Webhook, int]:
        """Give a webhook a new key and return it with the position of the event.

        The key before it stays good for so long, older ones do not. Raises `WebhookNotFound`, `ConcurrentAppend`.
        """
        workflow = await self._repository.get(scope, workflow_id)
        found = await self._named(scope, workflow_id, name)
        until = now + previous_for if previous_for else None
        event = WorkflowWebhookRotated(name, found.key_version + 1, until)
        new = msgspec.structs.replace(workflow, stream_version=workflow.stream_version + 1)
        position = await self._repository.save(scope, new, workflow_id, workflow.stream_version, event, now)
        return self._shown(await self._named(scope, workflow_id, name)), position

    async def _named(self, scope: TenantScope, workflow_id: UUID, name: str) -> WebhookRow:
        for row in await self._reads.of(scope, workflow_id):
            if row.name == name:
                return row
        raise WebhookNotFound(f"The workflow has no webhook {name!r}.")

    def _shown(self, row: WebhookRow) -> Webhook:
        return Webhook(row, self._keys.token(row.id), signing_secret(self._keys.signing_key(row.id, row.key_version)))
