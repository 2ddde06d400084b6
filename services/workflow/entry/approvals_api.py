"""`/api/v1/workflows/approvals` and `/waits`: what executions wait for."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, get
from litestar.datastructures import State
from litestar.di import Provide
from litestar.params import QueryParameter

from services.workflow.app.lists import Listed
from services.workflow.app.waits import (
    APPROVAL,
    KINDS,
    ApprovalView,
    WaitFilter,
    WaitReads,
    WaitStatus,
    WaitView,
    approval_view,
    wait_view,
)
from services.workflow.entry.filters import workflow_of
from shared.auth.scopes import WORKFLOWS_READ
from shared.http.pages import DEFAULT_LIMIT, Cursor, Limit, Offset, Word, decode_place, encode_place
from shared.http.positions import reached
from shared.scope import TenantScope

_TAGS = ["approvals"]
_Status = Annotated[WaitStatus | Literal["all"], QueryParameter(name="status")]


class ApprovalPage(msgspec.Struct):
    """A page of approvals, those asked for last first; see a page of executions for `total_is_exact`."""

    approvals: list[ApprovalView]
    total: int
    offset: int
    limit: int
    next_cursor: str | None = None
    total_is_exact: bool = True


class WaitPage(msgspec.Struct):
    """A page of waits, those that began last first."""

    waits: list[WaitView]
    total: int
    offset: int
    limit: int
    next_cursor: str | None = None
    total_is_exact: bool = True


async def _filter(
    caller: TenantScope,
    state: State,
    status_filter: _Status = "pending",
    assignee: Word = None,
    workflow_id: Word = None,
) -> WaitFilter:
    return WaitFilter(
        status=None if status_filter == "all" else status_filter,
        assignee=assignee,
        workflow_id=None if workflow_id is None else await workflow_of(state, caller, workflow_id),
    )


@get(
    "/api/v1/workflows/approvals", opt={"scope": WORKFLOWS_READ}, summary="List approvals", tags=_TAGS,
    dependencies={"wanted": Provide(_filter)},
)  # fmt: skip
async def list_approvals(
    request: Request[Any, Any, Any],
    caller: TenantScope,
    wanted: WaitFilter,
    cursor: Cursor = None,
    offset: Offset = 0,
    limit: Limit = DEFAULT_LIMIT,
) -> ApprovalPage:
    """List approvals, those asked for last first; pending ones unless `status` says otherwise."""
    wanted = msgspec.structs.replace(wanted, kinds=(APPROVAL,))
    listed, following = await _listed(request, caller, wanted, cursor, offset, limit)
    views = [approval_view(row) for row in listed.rows]
    return ApprovalPage(views, listed.total, offset, limit, following, listed.exact)


@get(
    "/api/v1/workflows/approvals/{approval_id:uuid}", opt={"scope": WORKFLOWS_READ}, summary="One approval", tags=_TAGS
)
async def get_approval(
    request: Request[Any, Any, Any], caller: TenantScope, state: State, approval_id: UUID
) -> ApprovalView:
    """Return an approval, pending or not."""
    await reached(request, state.waits.projected_upto)
    return approval_view(await state.waits.row(caller, approval_id, (APPROVAL,)))


@get(
    "/api/v1/workflows/waits", opt={"scope": WORKFLOWS_READ}, summary="List waits", tags=_TAGS,
    dependencies={"wanted": Provide(_filter)},
)  # fmt: skip
async def list_waits(
    request: Request[Any, Any, Any],
    caller: TenantScope,
    wanted: WaitFilter,
    kind: Literal["approval", "event"] | None = None,
    cursor: Cursor = None,
    offset: Offset = 0,
    limit: Limit = DEFAULT_LIMIT,
) -> WaitPage:
    """List steps that wait for a person or an event, those that began last first; pending ones by default."""
    wanted = msgspec.structs.replace(wanted, kinds=KINDS if kind is None else (kind,))
    listed, following = await _listed(request, caller, wanted, cursor, offset, limit)
    return WaitPage([wait_view(row) for row in listed.rows], listed.total, offset, limit, following, listed.exact)


async def _listed(
    request: Request[Any, Any, Any],
    caller: TenantScope,
    wanted: WaitFilter,
    cursor: str | None,
    offset: int,
    limit: int,
) -> tuple[Listed, str | None]:
    waits: WaitReads = request.app.state.waits
    await reached(request, waits.projected_upto)
    before = decode_place(cursor)
    listed = await waits.page(caller, wanted, before, 0 if before else offset, limit)
    return listed, None if listed.following is None else encode_place(listed.following)


HANDLERS: list[Any] = [list_approvals, get_approval, list_waits]
