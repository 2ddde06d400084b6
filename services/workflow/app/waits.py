"""What executions wait for: approvals by people, events from outside."""

import datetime as dt
from typing import Any, Literal, Protocol
from uuid import UUID

import msgspec

from services.workflow.app.lists import Listed
from shared.paging import Place
from shared.scope import TenantScope

APPROVAL = "approval"
KINDS = (APPROVAL, "event")
WaitStatus = Literal["pending", "decided", "signalled", "timed_out", "cancelled"]


class WaitFilter(msgspec.Struct, frozen=True):
    """Which waits; None does not narrow. A wait of an execution that ended is `cancelled`, whatever became of it."""

    kinds: tuple[str, ...] = KINDS
    status: str | None = None
    assignee: str | None = None
    workflow_id: UUID | None = None


class WaitReads(Protocol):
    """Waits, for requests of one tenant. Rows are read by column name."""

    async def page(
        self, scope: TenantScope, wanted: WaitFilter, before: Place | None, offset: int, limit: int
    ) -> Listed:
        """Return a page, those that began last first."""
        ...

    async def row(self, scope: TenantScope, wait_id: UUID, kinds: tuple[str, ...]) -> Any:
        """Return one. Raises `WaitNotFound`."""
        ...

    async def projected_upto(self) -> int:
        """Return the position of the log up to which waits are known."""
        ...


class WaitView(msgspec.Struct):
    """A step that waits, or waited. `answer` is what it was signalled or decided with."""

    id: UUID
    execution_id: UUID
    workflow_id: UUID
    step_path: str
    kind: str
    name: str
    status: str
    created_at: dt.datetime
    deadline: dt.datetime | None
    ended_at: dt.datetime | None
    ended_by: str | None
    answer: Any


class ApprovalView(msgspec.Struct):
    """A decision that is asked of people, or was. With no `assignees` it is asked of anybody who may decide."""

    id: UUID
    execution_id: UUID
    workflow_id: UUID
    step_path: str
    name: str
    status: str
    assignees: list[str]
    title: str | None
    message: str | None
    form_schema: Any
    created_at: dt.datetime
    deadline: dt.datetime | None
    decided_at: dt.datetime | None
    decided_by: str | None
    decision: Any


def wait_view(row: Any) -> WaitView:
    """Return a wait as the API shows it."""
    return WaitView(
        row["id"],
        row["execution_id"],
        row["workflow_id"],
        row["path"],
        row["kind"],
        row["name"],
        row["status"],
        row["since"],
        row["deadline"],
        row["ended_at"],
        row["ended_by"],
        _decoded(row["answer"]),
    )


def approval_view(row: Any) -> ApprovalView:
    """Return an approval as the API shows it."""
    details = _decoded(row["details"])
    return ApprovalView(
        row["id"],
        row["execution_id"],
        row["workflow_id"],
        row["path"],
        row["name"],
        row["status"],
        list(row["assignees"]),
        details.get("title"),
        details.get("message"),
        details.get("form_schema"),
        row["since"],
        row["deadline"],
        row["ended_at"],
        row["ended_by"],
        _decoded(row["answer"]),
    )


def _decoded(raw: bytes | None) -> Any:
    return None if raw is None else msgspec.json.decode(raw)
