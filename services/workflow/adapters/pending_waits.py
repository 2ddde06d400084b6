"""Steps that wait for a person or an event: a projection over the beginnings and ends of such waits."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from services.workflow.app.ports import StatusRow
from services.workflow.domain.events import StepWaited, StepWaiting
from shared.db.pool import Connection
from shared.db.queries import load_queries
from shared.eventstore.event import RecordedEvent
from shared.ids import derived_id
from shared.texts import storable

_sql = load_queries(Path(__file__).parent / "sql" / "waits.sql")

_End = tuple[dt.datetime | None, str | None, str | None, bytes | None]
_OPEN: _End = (None, None, None, None)


class PendingWaits:
    """What an execution waits for, and how each wait ended. A step that waits again, waits anew.

    Whatever text is in the log is taken: a row that Postgres refused would stop the model for all tenants.
    """

    name = "pending_waits"
    of_facts = True
    types: Sequence[str] = (StepWaiting.TYPE, StepWaited.TYPE)

    async def apply(self, connection: Connection, events: Sequence[RecordedEvent]) -> None:
        """Begin and end waits, the last word of each as of the last event."""
        rows = await connection.fetch(_sql.workflows_of, list({event.stream_id for event in events}))
        workflows = {row["id"]: row["workflow_id"] for row in rows}
        begun: dict[UUID, tuple[Any, ...]] = {}
        ended: dict[UUID, _End] = {}
        for event in events:
            if event.stream_id not in workflows:
                continue  # archived: its waits went with it, and the log may hold its events for a while
            if event.type == StepWaiting.TYPE:
                row = _row(event, workflows[event.stream_id])
                begun[row[1]], ended[row[1]] = row, _OPEN
            else:
                over = msgspec.json.decode(event.data, type=StepWaited)
                answer = msgspec.json.encode(over.data)
                by = None if over.by is None else storable(over.by)
                ended[wait_id(event.stream_id, over.path)] = (_time(over.at), over.outcome, by, answer)
        await connection.executemany(_sql.begin, [(*row, *ended[place]) for place, row in begun.items()])
        await connection.executemany(_sql.finish, [(place, *end) for place, end in ended.items() if place not in begun])

    async def archive(
        self, connection: Connection, executions: Sequence[tuple[StatusRow, Sequence[RecordedEvent]]]
    ) -> None:
        """Remove the waits of these executions, in the transaction that archives them."""
        began = [event for _, events in executions for event in events if event.type == StepWaiting.TYPE]
        paths = ((event.stream_id, msgspec.json.decode(event.data, type=StepWaiting).path) for event in began)
        await connection.execute(_sql.archive, [wait_id(*place) for place in paths])

    async def clear(self, connection: Connection) -> None:
        """Remove every wait."""
        await connection.execute(_sql.clear)

    async def digest(self, connection: Connection) -> str:
        """Return a hash over all waits."""
        return str(await connection.fetchval(_sql.digest) or "")


def wait_id(execution_id: UUID, path: str) -> UUID:
    """Return the id of the wait of a step."""
    return derived_id("wait", execution_id, path)


def _row(event: RecordedEvent, workflow_id: UUID) -> tuple[Any, ...]:
    began = msgspec.json.decode(event.data, type=StepWaiting)
    return (
        event.tenant_id,
        wait_id(event.stream_id, began.path),
        event.stream_id,
        workflow_id,
        began.path,
        began.kind,
        storable(began.name),
        [storable(assignee) for assignee in began.details.get("assignees") or ()],
        msgspec.json.encode(began.details),
        _time(began.at),
        None if began.deadline is None else _time(began.deadline),
    )


def _time(milliseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)
