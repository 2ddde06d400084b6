"""`GET /api/v1/workflows/workflows/executions`: executions, found by what they are and by how they were started."""

from typing import Any

import msgspec
from litestar import get
from litestar.datastructures import State
from litestar.di import Provide

from services.workflow.app.lists import ExecutionFilter
from services.workflow.app.queries import ExecutionView
from services.workflow.entry.filters import spans, wanted_executions
from shared.auth.scopes import WORKFLOWS_READ
from shared.http.pages import DEFAULT_LIMIT, Cursor, Limit, Offset, decode_place, encode_place
from shared.scope import TenantScope

_BASE = "/api/v1/workflows/workflows"


class _Labels(msgspec.Struct):
    attributes: dict[str, Any] = {}
    tags: list[str] = []


_labels = msgspec.json.Decoder(_Labels).decode
_UNLABELLED = _Labels()


class ExecutionPage(msgspec.Struct):
    """A page of executions; `next_cursor` leads to the next.

    Above 10,000, or where more than 10,000 would have to be looked at, `total` is what was counted by then and
    `total_is_exact` is false. A page may hold fewer than `limit`, or none, and have a `next_cursor` all the same.
    """

    executions: list[ExecutionView]
    total: int
    offset: int
    limit: int
    next_cursor: str | None = None
    total_is_exact: bool = True


@get(
    _BASE + "/executions", opt={"scope": WORKFLOWS_READ}, summary="List executions", tags=["executions"],
    dependencies={"wanted": Provide(wanted_executions), "times": Provide(spans, sync_to_thread=False)},
)  # fmt: skip
async def list_executions(
    caller: TenantScope,
    state: State,
    wanted: ExecutionFilter,
    cursor: Cursor = None,
    offset: Offset = 0,
    limit: Limit = DEFAULT_LIMIT,
) -> ExecutionPage:
    """List executions by their status rows: `version` is that of the last change of status.

    Those that started last come first; with `ended_after` or `ended_before`, those that ended last. Inputs, outputs,
    errors and steps stand in each one's own page; `error_code` says why one failed. A cursor belongs to the filters of
    its page.
    """
    before = decode_place(cursor)
    listed = await state.execution_lists.page(caller, wanted, before, 0 if before else offset, limit)
    following = None if listed.following is None else encode_place(listed.following)
    return ExecutionPage([_view(row) for row in listed.rows], listed.total, offset, limit, following, listed.exact)


def _view(row: Any) -> ExecutionView:
    labels = _UNLABELLED if row["labels"] is None else _labels(row["labels"])
    began, ended = row["started_at"], row["completed_at"]
    return ExecutionView(
        id=row["id"],
        tenant_id=row["tenant_id"],
        workflow_id=row["workflow_id"],
        workflow_revision=row["workflow_revision"],
        status=row["status"],
        version=row["version"],
        started_at=began,
        created_at=began,
        completed_at=ended,
        duration_ms=None if ended is None else round((ended - began).total_seconds() * 1000),
        trigger=row["trigger"],
        attributes=labels.attributes,
        tags=labels.tags,
        error_code=row["error_code"],
    )


HANDLERS: list[Any] = [list_executions]
