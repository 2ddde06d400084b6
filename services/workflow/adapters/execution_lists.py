"""Lists of executions on Postgres. Each request looks at a bounded stretch of one index, whatever it asks for."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from services.workflow.app.lists import ExecutionFilter, Listed, Span
from services.workflow.limits import LABEL_COUNT_ROWS, LIST_SCAN_ROWS
from shared.db.pool import Connection, TenantPool
from shared.db.queries import load_queries
from shared.paging import Place
from shared.scope import TenantScope

_sql = load_queries(Path(__file__).parent / "sql" / "execution_lists.sql")
_NIL = UUID(int=0)


class PostgresExecutionLists:
    """`ExecutionLists` over the pool that answers requests."""

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool

    async def page(
        self, scope: TenantScope, wanted: ExecutionFilter, before: Place | None, offset: int, limit: int
    ) -> Listed:
        """Return a page, and how many there are in all as far as that is counted."""
        looked_through = _looked_through(wanted)
        scan = LIST_SCAN_ROWS if looked_through else offset + limit + 1
        # What is looked through comes back as a whole: the row at which the look ended must not be skipped.
        many, skipped = (offset + limit + 1, 0) if looked_through else (limit + 1, offset)
        async with self._pool.connection(scope) as connection:
            wanted = await _rarest_first(connection, wanted)
            rows = await _page(connection, wanted, before, scan, many, skipped)
            counted = await _count(connection, wanted, LIST_SCAN_ROWS + 1)
        found = [row for row in rows if row["wanted"]][offset - skipped :]
        following = None
        if len(found) > limit:
            following = _place(found[limit - 1], wanted)
        elif looked_through and rows and rows[-1]["place"] == scan:
            following = _place(rows[-1], wanted)
        looked_at, total = counted
        return Listed(found[:limit], following, min(total, LIST_SCAN_ROWS), looked_at <= LIST_SCAN_ROWS)


def _looked_through(wanted: ExecutionFilter) -> bool:
    """Return whether there is a condition beside that of the index which is read."""
    if wanted.ended is not None:
        return wanted != ExecutionFilter(ended=wanted.ended)
    if wanted.labels:
        return wanted != ExecutionFilter(labels=wanted.labels[:1], started=wanted.started)
    return wanted.trigger is not None


def _from(span: Span, place: Place | None) -> tuple[dt.datetime, UUID]:
    """Return what the first row of a page stands behind, newest first."""
    return (span.before, _NIL) if place is None else min((span.before, _NIL), (place.at, place.id))


async def _page(
    connection: Connection, wanted: ExecutionFilter, place: Place | None, scan: int, many: int, skipped: int
) -> Sequence[Any]:
    statuses, others = list(wanted.statuses), wanted.labels
    if wanted.ended is not None:
        bounds = (*_from(wanted.ended, place), wanted.ended.after, scan)
        started = (wanted.started.before, wanted.started.after)
        narrowed = (statuses, wanted.workflow_id, wanted.trigger, *_columns(others))
        return list(await connection.fetch(_sql.by_end, *bounds, many, skipped, *narrowed, *started))
    bounds = (*_from(wanted.started, place), wanted.started.after, scan)
    if others:
        narrowed = (statuses, wanted.workflow_id, wanted.trigger, *_columns(others[1:]))
        return list(await connection.fetch(_sql.by_attribute, *bounds, many, skipped, *narrowed, *others[0]))
    arguments = (statuses, *bounds, many, skipped, wanted.trigger)
    if wanted.workflow_id is None:
        return list(await connection.fetch(_sql.by_start, *arguments))
    return list(await connection.fetch(_sql.by_start_of_workflow, *arguments, wanted.workflow_id))


async def _count(connection: Connection, wanted: ExecutionFilter, scan: int) -> tuple[int, int]:
    """Return how many rows were looked at, `scan` at most, and how many of them are wanted."""
    statuses, others = list(wanted.statuses), wanted.labels
    if wanted.ended is not None:
        bounds = (*_from(wanted.ended, None), wanted.ended.after, scan)
        started = (wanted.started.before, wanted.started.after)
        narrowed = (statuses, wanted.workflow_id, wanted.trigger, *_columns(others))
        row = await connection.fetchrow(_sql.count_by_end, *bounds, *narrowed, *started)
    elif others:
        bounds = (*_from(wanted.started, None), wanted.started.after, scan)
        if _looked_through(wanted):
            narrowed = (statuses, wanted.workflow_id, wanted.trigger, *_columns(others[1:]))
            row = await connection.fetchrow(_sql.count_by_attribute, *bounds, *narrowed, *others[0])
        else:
            row = await connection.fetchrow(_sql.count_attribute, *bounds, *others[0])
    else:
        arguments = (statuses, wanted.started.before, wanted.started.after, wanted.trigger, scan)
        if wanted.workflow_id is None:
            row = await connection.fetchrow(_sql.count_by_start, *arguments)
        else:
            row = await connection.fetchrow(_sql.count_by_start_of_workflow, *arguments, wanted.workflow_id)
    return int(row["looked_at"]), int(row["found"])


async def _rarest_first(connection: Connection, wanted: ExecutionFilter) -> ExecutionFilter:
    """Put the label first by which the list is read: the fewest executions have it, as far as that is counted."""
    if len(wanted.labels) < 2 or wanted.ended is not None:  # noqa: PLR2004
        return wanted
    bounds = (*_from(wanted.started, None), wanted.started.after, LABEL_COUNT_ROWS)
    counts = [(await connection.fetchrow(_sql.count_attribute, *bounds, *label))["found"] for label in wanted.labels]
    order = sorted(range(len(counts)), key=counts.__getitem__)
    return msgspec.structs.replace(wanted, labels=tuple(wanted.labels[place] for place in order))


def _columns(labels: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [name for name, _ in labels], [value for _, value in labels]


def _place(row: Any, wanted: ExecutionFilter) -> Place:
    return Place(row["started_at" if wanted.ended is None else "completed_at"], row["id"])
