"""`/api/v1/workflows/workflows`: definitions."""

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.datastructures import State
from litestar.di import Provide
from litestar.params import Parameter

from services.workflow.app.definitions import ACTIVE, ARCHIVED, Definitions
from services.workflow.app.ports import WorkflowFilter
from services.workflow.domain.language.parsing import parse_definition
from services.workflow.domain.language.program import compile_program
from services.workflow.entry.bodies import json_object
from services.workflow.errors import WorkflowExists
from services.workflow.limits import DEFAULT_EXECUTION_TIMEOUT_SECONDS, DEFAULT_MAX_RETRIES
from shared.auth.scopes import WORKFLOWS_READ, WORKFLOWS_WRITE
from shared.errors import InvalidInput
from shared.http.idempotency import once
from shared.http.pages import DEFAULT_LIMIT, Cursor, Limit, Offset, Word, cut, decode_place
from shared.http.positions import EVENT_POSITION, reached
from shared.paging import Place
from shared.scope import TenantScope

_BASE = "/api/v1/workflows/workflows"
_TAGS = ["workflows"]


class WorkflowView(msgspec.Struct):
    """A workflow, as the API shows it. `revision` counts its definitions, `version` is the author's own."""

    id: UUID
    tenant_id: UUID
    name: str
    slug: str
    description: str
    version: str
    revision: int
    status: str
    steps: list[Any]
    triggers: list[Any]
    input_schema: dict[str, Any] | None
    output: Any
    timeout_seconds: float
    max_retries: int
    retry_strategy: str
    tags: list[str]
    category: str | None
    execution_count: int
    success_count: int
    failure_count: int
    avg_duration_ms: float | None
    created_by: str
    created_at: dt.datetime
    updated_at: dt.datetime


class WorkflowPage(msgspec.Struct):
    """A page of workflows, oldest first."""

    workflows: list[WorkflowView]
    total: int
    offset: int
    limit: int
    next_cursor: str | None = None


class RevisionView(msgspec.Struct):
    """One revision of a workflow."""

    revision: int
    definition: msgspec.Raw
    created_by: str
    created_at: dt.datetime


class RevisionPage(msgspec.Struct):
    """Every revision of a workflow, newest first."""

    revisions: list[RevisionView]
    total: int


class Validation(msgspec.Struct):
    """A definition that could run."""

    valid: bool
    slug: str
    steps: int


def view(row: Any) -> WorkflowView:
    """Return a stored workflow as the API shows it."""
    d = msgspec.json.decode(row["definition"], type=dict[str, Any])
    runs = row["success_count"]
    return WorkflowView(
        id=row["id"],
        tenant_id=row["tenant_id"],
        name=row["name"],
        slug=row["slug"],
        description=row["description"],
        version=row["version"],
        revision=row["revision"],
        status=row["status"],
        steps=d["steps"],
        triggers=d.get("triggers", []),
        input_schema=d.get("input_schema"),
        output=d.get("output"),
        timeout_seconds=d.get("timeout_seconds", DEFAULT_EXECUTION_TIMEOUT_SECONDS),
        max_retries=d.get("max_retries", DEFAULT_MAX_RETRIES),
        retry_strategy=d.get("retry_strategy", "exponential"),
        tags=list(row["tags"]),
        category=row["category"] or None,
        execution_count=row["execution_count"],
        success_count=runs,
        failure_count=row["failure_count"],
        avg_duration_ms=round(row["total_duration_ms"] / runs, 3) if runs else None,
        created_by=row["created_by"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


async def _answer(
    state: State, caller: TenantScope, workflow_id: UUID, position: int | None, status: int
) -> Response[Any]:
    row = await state.workflows.read(caller, workflow_id, None)
    headers = {"ETag": f'"{row["stream_version"]}"'}
    if position is not None:
        headers[EVENT_POSITION] = str(position)
    if status == 201:  # noqa: PLR2004
        headers["Location"] = f"{_BASE}/{workflow_id}"
    return Response(view(row), status_code=status, headers=headers)


def _if_match(request: Request[Any, Any, Any]) -> int | None:
    tag = request.headers.get("if-match")
    if tag is None or tag == "*":
        return None
    text = tag.removeprefix("W/").strip('"')
    if not text.isdecimal():
        raise InvalidInput("If-Match is not an ETag that this API gave out.")
    return int(text)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@post(_BASE, opt={"scope": WORKFLOWS_WRITE}, summary="Define a workflow", tags=_TAGS)
async def create_workflow(request: Request[Any, Any, Any], caller: TenantScope, state: State) -> Response[WorkflowView]:
    """Define a workflow: the body is its definition. It is a draft until it is activated (or `status: active`)."""
    body = json_object(await request.body())
    definitions: Definitions = state.definitions

    async def handle(workflow_id: UUID) -> Response[Any]:
        try:
            position = await definitions.create(caller, workflow_id, body, _now())
        except WorkflowExists as repeated:  # by this very request, which broke off before it was answered
            position = repeated.position
        return await _answer(state, caller, workflow_id, position, 201)

    return await once(request, caller, state.tenants, handle)


def _filter(
    slug: Word = None,
    category: Word = None,
    tag: Word = None,
    q: Word = None,
    status_filter: Annotated[Literal["draft", "active", "archived"] | None, Parameter(query="status")] = None,
) -> WorkflowFilter:
    return WorkflowFilter(slug, category, tag, q, status_filter)


@get(
    _BASE, opt={"scope": WORKFLOWS_READ}, summary="List workflows", tags=_TAGS,
    dependencies={"wanted": Provide(_filter, sync_to_thread=False)},
)  # fmt: skip
async def list_workflows(
    request: Request[Any, Any, Any],
    caller: TenantScope,
    state: State,
    wanted: WorkflowFilter,
    cursor: Cursor = None,
    offset: Offset = 0,
    limit: Limit = DEFAULT_LIMIT,
) -> WorkflowPage:
    """List workflows, oldest first, by slug, category, tag, status and text."""
    await reached(request, state.workflows.counted_upto)
    after = decode_place(cursor)
    rows, total = await state.workflows.page(caller, wanted, after, 0 if after else offset, limit + 1)
    shown, following = cut(rows, limit, lambda row: Place(row["created_at"], row["id"]))
    return WorkflowPage([view(row) for row in shown], total, offset, limit, following)


@get(_BASE + "/{workflow_id:uuid}", opt={"scope": WORKFLOWS_READ}, summary="One workflow", tags=_TAGS)
async def get_workflow(
    request: Request[Any, Any, Any], caller: TenantScope, state: State, workflow_id: UUID
) -> Response[WorkflowView]:
    """Return a workflow with its counters."""
    await reached(request, state.workflows.counted_upto)
    row = await state.workflows.read(caller, workflow_id, None)
    return Response(view(row), headers={"ETag": f'"{row["stream_version"]}"'})


@patch(_BASE + "/{workflow_id:uuid}", opt={"scope": WORKFLOWS_WRITE}, summary="Revise a workflow", tags=_TAGS)
async def revise_workflow(
    request: Request[Any, Any, Any], caller: TenantScope, state: State, workflow_id: UUID
) -> Response[WorkflowView]:
    """Change fields of the definition: a new revision. Executions that run stay on theirs."""
    changes = json_object(await request.body())
    position = await state.definitions.revise(caller, workflow_id, changes, _now(), _if_match(request))
    return await _answer(state, caller, workflow_id, position, 200)


@delete(
    _BASE + "/{workflow_id:uuid}", opt={"scope": WORKFLOWS_WRITE}, summary="Delete a workflow", tags=_TAGS,
    status_code=204,
)  # fmt: skip
async def delete_workflow(
    request: Request[Any, Any, Any], caller: TenantScope, state: State, workflow_id: UUID
) -> Response[None]:
    """Delete a workflow that never ran; one that did is archived instead (409 says so)."""
    position = await state.definitions.delete(caller, workflow_id, _now(), _if_match(request))
    return Response(None, status_code=204, headers={EVENT_POSITION: str(position)})


@post(_BASE + "/{workflow_id:uuid}/activate", opt={"scope": WORKFLOWS_WRITE}, summary="Activate", tags=_TAGS)
async def activate_workflow(caller: TenantScope, state: State, workflow_id: UUID) -> Response[WorkflowView]:
    """Let it run: the whole definition is validated once more."""
    position = await state.definitions.set_status(caller, workflow_id, ACTIVE, _now())
    return await _answer(state, caller, workflow_id, position, 200)


@post(_BASE + "/{workflow_id:uuid}/archive", opt={"scope": WORKFLOWS_WRITE}, summary="Archive", tags=_TAGS)
async def archive_workflow(caller: TenantScope, state: State, workflow_id: UUID) -> Response[WorkflowView]:
    """Let it start no more; what runs goes on to its end."""
    position = await state.definitions.set_status(caller, workflow_id, ARCHIVED, _now())
    return await _answer(state, caller, workflow_id, position, 200)


@get(_BASE + "/{workflow_id:uuid}/revisions", opt={"scope": WORKFLOWS_READ}, summary="Its revisions", tags=_TAGS)
async def list_revisions(caller: TenantScope, state: State, workflow_id: UUID) -> RevisionPage:
    """Return every revision, newest first."""
    await state.workflows.read(caller, workflow_id, None)
    rows = await state.workflows.revisions(caller, workflow_id)
    found = [RevisionView(r["revision"], msgspec.Raw(r["definition"]), r["created_by"], r["created_at"]) for r in rows]
    return RevisionPage(found, len(found))


@post(_BASE + "/validate", opt={"scope": WORKFLOWS_READ}, summary="Check a definition", tags=_TAGS, status_code=200)
async def validate_workflow(request: Request[Any, Any, Any]) -> Validation:
    """Say whether a definition could run; 422 lists every fault with its path and position."""
    body = json_object(await request.body())
    body.pop("status", None)
    definition = parse_definition(body)
    program = compile_program(definition)
    return Validation(True, definition.effective_slug(), len(program.nodes))


HANDLERS: list[Any] = [
    create_workflow,
    list_workflows,
    get_workflow,
    revise_workflow,
    delete_workflow,
    activate_workflow,
    archive_workflow,
    list_revisions,
    validate_workflow,
]
