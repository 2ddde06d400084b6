"""`/api/v1/workflows/retention`: for how long ended executions are kept, and what the archive holds."""

import datetime as dt
from typing import Annotated, Any, Protocol
from uuid import UUID

import msgspec
from litestar import get, put
from litestar.datastructures import State

from services.workflow.limits import MAX_RETENTION_DAYS, MIN_RETENTION_DAYS, RETENTION_COUNTED
from shared.auth.scopes import TENANTS_ADMIN, WORKFLOWS_READ
from shared.scope import TenantScope

_PATH = "/api/v1/workflows/retention"
_TAGS = ["retention"]


class Retention(Protocol):
    """One tenant's retention."""

    default_days: int | None

    async def policies(self, scope: TenantScope) -> tuple[list[Any], list[Any]]:
        """Return the tenant's policies and its definitions' wishes, rows of `workflow_id` and `days`."""
        ...

    async def set(self, scope: TenantScope, workflow_id: UUID | None, days: int | None) -> None:
        """Set or remove a policy. Raises `WorkflowNotFound`."""
        ...

    async def figures(self, scope: TenantScope, midnight: dt.datetime) -> dict[str, Any]:
        """Return what is archived and what will be."""
        ...


class RetentionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Keep ended executions so many days; null removes the policy. Without `workflow_id`: of all workflows."""

    days: Annotated[int, msgspec.Meta(ge=MIN_RETENTION_DAYS, le=MAX_RETENTION_DAYS)] | None
    workflow_id: UUID | None = None


class WorkflowRetention(msgspec.Struct):
    """What holds for one workflow. `source` is `policy` (set here) or `definition`; a policy goes first."""

    workflow_id: UUID
    days: int
    source: str


class RetentionView(msgspec.Struct):
    """What holds, in days (null: for ever), and what came of it.

    A workflow's own goes before the tenant's, the tenant's before the platform's. `due` is how many executions the
    next round archives, counted up to 10,000 (`due_is_more` beyond).
    """

    platform_days: int | None
    tenant_days: int | None
    workflows: list[WorkflowRetention]
    archived_executions: int
    archived_objects: int
    archived_bytes: int
    oldest_ended_at: dt.datetime | None
    due: int
    due_is_more: bool


async def _view(state: State, caller: TenantScope) -> RetentionView:
    retention: Retention = state.retention
    policies, wishes = await retention.policies(caller)
    midnight = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    figures = await retention.figures(caller, midnight)
    own = {row["workflow_id"]: row["days"] for row in policies}
    tenant_days = own.pop(None, None)
    workflows = [WorkflowRetention(workflow_id, days, "policy") for workflow_id, days in own.items()]
    workflows += [
        WorkflowRetention(row["workflow_id"], row["days"], "definition")
        for row in wishes
        if row["workflow_id"] not in own
    ]
    return RetentionView(
        platform_days=retention.default_days,
        tenant_days=tenant_days,
        workflows=workflows,
        archived_executions=figures["executions"],
        archived_objects=figures["objects"],
        archived_bytes=figures["bytes"],
        oldest_ended_at=figures["oldest_ended_at"],
        due=figures["due"],
        due_is_more=figures["due"] >= RETENTION_COUNTED,
    )


@get(_PATH, opt={"scope": WORKFLOWS_READ}, summary="How long executions are kept", tags=_TAGS)
async def get_retention(caller: TenantScope, state: State) -> RetentionView:
    """Return for how long ended executions are kept, what is archived, and what will be next."""
    return await _view(state, caller)


@put(_PATH, opt={"scope": TENANTS_ADMIN}, summary="Keep executions for so long", tags=_TAGS, status_code=200)
async def put_retention(caller: TenantScope, state: State, data: RetentionRequest) -> RetentionView:
    """Set for how long ended executions are kept: of one workflow, or of all that say nothing themselves."""
    await state.retention.set(caller, data.workflow_id, data.days)
    return await _view(state, caller)


HANDLERS: list[Any] = [get_retention, put_retention]
