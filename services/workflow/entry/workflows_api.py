"""`/api/v1/workflows/workflows`: definitions."""

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.datastructures import State
from litestar.di import Provide
from litestar.params import Parameter

from services.workflow.app.definitions import ACTIVE, ARCHIVED, Definitions, Written
from services.workflow.app.ports import WorkflowFilter
from services.workflow.domain.language.parsing import parse_definition
from services.workflow.domain.language.program import compile_program
from services.workflow.domain.language.warnings import warnings_of
from services.workflow.entry.bodies import definition_object
from services.workflow.limits import DEFAULT_EXECUTION_TIMEOUT_SECONDS, DEFAULT_MAX_RETRIES
from shared.auth.scopes import WORKFLOWS_READ, WORKFLOWS_WRITE
from shared.errors import FieldFault, InvalidInput
from shared.http.idempotency import once
from shared.http.pages import DEFAULT_LIMIT, Cursor, Limit, Offset, Word, cut, decode_place
from shared.http.positions import EVENT_POSITION, reached
from shared.paging import Place
from shared.scope import TenantScope

WORKFLOWS = "/api/v1/workflows/workflows"
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
    expose_as_tool: bool | dict[str, Any]
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


class WrittenWorkflow(WorkflowView):
    """A workflow after a change, and what may surprise its author: warnings refuse nothing."""

    warnings: list[FieldFault]


class WorkflowPage(msgspec.Struct):
    """A page of workflows, oldest first."""

    workflows: list[WorkflowView]
    total: int
    offset: int
    limit: int
    next_cursor: str | None = None


class Validation(msgspec.Struct):
    """A definition that could run, and what about it may surprise its author."""

    valid: bool
    slug: str
    steps: int
    warnings: list[FieldFault]


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
        expose_as_tool=d.get("expose_as_tool", False),
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


async def _answer(state: State, caller: TenantScope, workflow_id: UUID, written: Written, status: int) -> Response[Any]:
    row = await state.workflows.read(caller, workflow_id, None)
    headers = {"ETag": f'"{row["stream_version"]}"'}
    if written.position is not None:
        headers[EVENT_POSITION] = str(written.position)
    if status == 201:  # noqa: PLR2004
        headers["Location"] = f"{WORKFLOWS}/{workflow_id}"
    shown = WrittenWorkflow(**msgspec.structs.asdict(view(row)), warnings=written.warnings)
    return Response(shown, status_code=status, headers=headers)


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


@post(WORKFLOWS, opt={"scope": WORKFLOWS_WRITE}, summary="Define a workflow", tags=_TAGS)
async def create_workflow(
    request: Request[Any, Any, Any], caller: TenantScope, state: State
) -> Response[WrittenWorkflow]:
    """Define a workflow: the body is its definition, in JSON or (`Content-Type: application/yaml`) in YAML.

    It is a draft until it is activated (or `status: active`). `warnings` of the answer say what may surprise.
    """
    body = await definition_object(request)
    definitions: Definitions = state.definitions

    async def handle(workflow_id: UUID) -> Response[Any]:
        written = await definitions.create(caller, workflow_id, body, _now())
        return await _answer(state, caller, workflow_id, written, 201)

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
    WORKFLOWS, opt={"scope": WORKFLOWS_READ}, summary="List workflows", tags=_TAGS,
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


@get(WORKFLOWS + "/{workflow_id:uuid}", opt={"scope": WORKFLOWS_READ}, summary="One workflow", tags=_TAGS)
async def get_workflow(
    request: Request[Any, Any, Any], caller: TenantScope, state: State, workflow_id: UUID
) -> Response[WorkflowView]:
    """Return a workflow with its counters."""
    await reached(request, state.workflows.counted_upto)
    row = await state.workflows.read(caller, workflow_id, None)
    return Response(view(row), headers={"ETag": f'"{row["stream_version"]}"'})


@patch(WORKFLOWS + "/{workflow_id:uuid}", opt={"scope": WORKFLOWS_WRITE}, summary="Revise a workflow", tags=_TAGS)
async def revise_workflow(
    request: Request[Any, Any, Any], caller: TenantScope, state: State, workflow_id: UUID
) -> Response[WrittenWorkflow]:
    """Change fields of the definition (JSON or YAML): a new revision. Executions that run stay on theirs."""
    changes = await definition_object(request)
    written = await state.definitions.revise(caller, workflow_id, changes, _now(), _if_match(request))
    return await _answer(state, caller, workflow_id, written, 200)


@delete(
    WORKFLOWS + "/{workflow_id:uuid}", opt={"scope": WORKFLOWS_WRITE}, summary="Delete a workflow", tags=_TAGS,
    status_code=204,
)  # fmt: skip
async def delete_workflow(
    request: Request[Any, Any, Any], caller: TenantScope, state: State, workflow_id: UUID
) -> Response[None]:
    """Delete a workflow that never ran; one that did is archived instead (409 says so)."""
    position = await state.definitions.delete(caller, workflow_id, _now(), _if_match(request))
    return Response(None, status_code=204, headers={EVENT_POSITION: str(position)})


@post(WORKFLOWS + "/{workflow_id:uuid}/activate", opt={"scope": WORKFLOWS_WRITE}, summary="Activate", tags=_TAGS)
async def activate_workflow(caller: TenantScope, state: State, workflow_id: UUID) -> Response[WrittenWorkflow]:
    """Let it run: the whole definition is validated once more."""
    written = await state.definitions.set_status(caller, workflow_id, ACTIVE, _now())
    return await _answer(state, caller, workflow_id, written, 200)


@post(WORKFLOWS + "/{workflow_id:uuid}/archive", opt={"scope": WORKFLOWS_WRITE}, summary="Archive", tags=_TAGS)
async def archive_workflow(caller: TenantScope, state: State, workflow_id: UUID) -> Response[WrittenWorkflow]:
    """Let it start no more; what runs goes on to its end."""
    written = await state.definitions.set_status(caller, workflow_id, ARCHIVED, _now())
    return await _answer(state, caller, workflow_id, written, 200)


@post(WORKFLOWS + "/validate", opt={"scope": WORKFLOWS_READ}, summary="Check a definition", tags=_TAGS, status_code=200)
async def validate_workflow(request: Request[Any, Any, Any]) -> Validation:
    """Say whether a definition (JSON or YAML) could run, and what about it may surprise.

    422 lists every fault with its path and position.
    """
    body = await definition_object(request)
    body.pop("status", None)
    definition = parse_definition(body)
    program = compile_program(definition)
    return Validation(True, definition.effective_slug(), len(program.nodes), warnings_of(definition))


HANDLERS: list[Any] = [
    create_workflow,
    list_workflows,
    get_workflow,
    revise_workflow,
    delete_workflow,
    activate_workflow,
    archive_workflow,
    validate_workflow,
]
