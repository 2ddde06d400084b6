"""Lists of executions: what narrows them, and what a page is."""

import datetime as dt
from typing import Any, Protocol
from uuid import UUID

import msgspec

from shared.paging import Place
from shared.scope import TenantScope

STATUSES = ("pending", "running", "waiting", "paused", "completed", "failed", "cancelled")
FIRST = dt.datetime(1, 1, 2, tzinfo=dt.UTC)
LAST = dt.datetime(9999, 12, 30, tzinfo=dt.UTC)


class Span(msgspec.Struct, frozen=True):
    """From `after`, itself included, to `before`, itself not."""

    after: dt.datetime = FIRST
    before: dt.datetime = LAST


class ExecutionFilter(msgspec.Struct, frozen=True):
    """Which executions. `labels` are names and texts, all of which an execution must have (see `domain.labels`).

    With `ended` only executions that ended in that span are listed, those that ended last first; without it, those
    that started last.
    """

    statuses: tuple[str, ...] = STATUSES
    workflow_id: UUID | None = None
    trigger: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    started: Span = Span()
    ended: Span | None = None


class Listed(msgspec.Struct, frozen=True):
    """A page. `following` is where the next begins, None at the end. Without `exact` there are `total` or more.

    A page can be shorter than was asked for, even empty, and not the last: so much was looked at, and no more.
    """

    rows: list[Any]
    following: Place | None
    total: int
    exact: bool


class ExecutionLists(Protocol):
    """Status rows, for requests of one tenant. Rows are read by column name."""

    async def page(
        self, scope: TenantScope, wanted: ExecutionFilter, before: Place | None, offset: int, limit: int
    ) -> Listed:
        """Return a page."""
        ...
