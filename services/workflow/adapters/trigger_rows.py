"""The rows of a workflow's schedules and webhooks, written in the transaction of the workflow's own row."""

import datetime as dt
from pathlib import Path
from uuid import UUID, uuid4

import msgspec

from services.workflow.app.definitions import ACTIVE, WorkflowRow
from services.workflow.domain.language.cron import Cron
from services.workflow.domain.language.definition import Trigger, WebhookTrigger
from services.workflow.domain.schedules import keyed
from services.workflow.domain.workflow_events import WorkflowWebhookRotated
from shared.db.pool import Connection
from shared.db.queries import load_queries
from shared.eventstore.catalogue import DomainEvent
from shared.scope import TenantScope

_sql = load_queries(Path(__file__).parent / "sql" / "triggers.sql")


class _Triggers(msgspec.Struct):
    triggers: list[Trigger] = []


_decode = msgspec.json.Decoder(_Triggers).decode


async def write_triggers(
    connection: Connection,
    scope: TenantScope,
    workflow_id: UUID,
    row: WorkflowRow | None,
    event: DomainEvent,
    now: dt.datetime,
) -> None:
    """Make the rows what the workflow's row says (None: it is deleted).

    A schedule that stays keeps its place, so that a revision neither loses a moment nor has it twice. One of a workflow
    that was not active begins with the next moment: what lay before it is not missed.
    """
    triggers = [] if row is None else _decode(row.definition).triggers
    keys = list(keyed(triggers)) if row is not None and row.status == ACTIVE else []
    columns = [list(column) for column in zip(*keys, strict=True)] or [[], [], []]
    await connection.execute(_sql.keep_schedules, workflow_id, *columns)
    if keys:
        moments = [Cron(cron, timezone).after(now) for cron, timezone, _ in keys]
        await connection.execute(_sql.add_schedules, scope.tenant_id, workflow_id, *columns, moments)
    names = [t.name for t in triggers if isinstance(t, WebhookTrigger)]
    await connection.execute(_sql.keep_webhooks, workflow_id, names)
    if names:
        ids = [uuid4() for _ in names]
        await connection.execute(_sql.add_webhooks, scope.tenant_id, workflow_id, names, ids, now)
    if isinstance(event, WorkflowWebhookRotated):
        await connection.execute(
            _sql.rotate_webhook, workflow_id, event.name, event.key_version, event.previous_until, now
        )
