"""`/api/v1/workflows/workflows/{id}/revisions`, `/diff` and `/export`: what a workflow was, and how it left."""

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.datastructures import State
from litestar.params import Parameter

from services.workflow.domain.language.diff import FieldChange, StepChange, diff
from services.workflow.domain.language.presentation import presented
from services.workflow.domain.workflow_events import definition_of
from services.workflow.entry.workflows_api import WORKFLOWS
from shared.auth.scopes import WORKFLOWS_READ
from shared.errors import InvalidInput
from shared.http.pages import DEFAULT_LIMIT, Cursor, Limit, Offset
from shared.limits import VERSION_MAX
from shared.scope import TenantScope
from shared.yaml_json import MEDIA_TYPE, dump_yaml

_ONE = WORKFLOWS + "/{workflow_id:uuid}"
_TAGS = ["workflows"]
_INDENT = 2


class RevisionView(msgspec.Struct):
    """One revision of a workflow."""

    revision: int
    definition: msgspec.Raw
    created_by: str
    created_at: dt.datetime


class RevisionPage(msgspec.Struct):
    """A page of a workflow's revisions, newest first. It can be shorter than `limit` and not the last."""

    revisions: list[RevisionView]
    total: int
    offset: int
    limit: int
    next_cursor: str | None = None


class RevisionDiff(msgspec.Struct):
    """What changed from one revision to another. `truncated`: there are more changes than are listed."""

    from_revision: int
    to_revision: int
    definition: list[FieldChange]
    steps: list[StepChange]
    truncated: bool


@get(_ONE + "/revisions", opt={"scope": WORKFLOWS_READ}, summary="Its revisions", tags=_TAGS)
async def list_revisions(
    caller: TenantScope,
    state: State,
    workflow_id: UUID,
    cursor: Cursor = None,
    offset: Offset = 0,
    limit: Limit = DEFAULT_LIMIT,
) -> RevisionPage:
    """List revisions, newest first. A page ends early where its definitions come to more than 16 MiB."""
    await state.workflows.read(caller, workflow_id, None)
    before = _revision_of(cursor)
    rows, total, following = await state.workflows.revisions(
        caller, workflow_id, before, offset if before is None else 0, limit
    )
    found = [RevisionView(r["revision"], msgspec.Raw(r["definition"]), r["created_by"], r["created_at"]) for r in rows]
    return RevisionPage(found, total, offset, limit, None if following is None else str(following))


def _revision_of(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isdecimal() and cursor.isascii()) or int(cursor) > VERSION_MAX:
        raise InvalidInput("cursor is not one that this API gave out.")
    return int(cursor)


@get(_ONE + "/diff", opt={"scope": WORKFLOWS_READ}, summary="What changed between two revisions", tags=_TAGS)
async def diff_revisions(
    caller: TenantScope,
    state: State,
    workflow_id: UUID,
    earlier: Annotated[int | None, Parameter(query="from", ge=1, le=VERSION_MAX)] = None,
    later: Annotated[int | None, Parameter(query="to", ge=1, le=VERSION_MAX)] = None,
) -> RevisionDiff:
    """Compare two revisions by the names of steps and the paths of fields; by default the newest with the one before.

    With `to` alone, the revision before it is the other one.
    """
    row = await state.workflows.read(caller, workflow_id, None)
    after = later or row["revision"]
    before = earlier or max(1, after - 1)
    sides = [definition_of(await state.workflows.definition(caller, workflow_id, one)) for one in (before, after)]
    found = diff(*sides)
    return RevisionDiff(before, after, found.definition, found.steps, found.truncated)


@get(
    _ONE + "/export", opt={"scope": WORKFLOWS_READ}, summary="Its definition as a file", tags=_TAGS,
    media_type=MEDIA_TYPE,
)  # fmt: skip
async def export_workflow(
    caller: TenantScope,
    state: State,
    workflow_id: UUID,
    form: Annotated[Literal["yaml", "json"], Parameter(query="format")] = "yaml",
    revision: Annotated[int | None, Parameter(ge=1, le=VERSION_MAX)] = None,
) -> Response[Any]:
    """Return a revision (by default the newest) as YAML or JSON that defines the same workflow when it is sent in."""
    row = await state.workflows.read(caller, workflow_id, None)
    stored = row["definition"]
    if revision is not None:
        stored = await state.workflows.definition(caller, workflow_id, revision)
    definition = presented(definition_of(stored))
    headers = {"Content-Disposition": f'inline; filename="{row["slug"]}.{form}"'}
    if form == "json":
        text = msgspec.json.format(msgspec.json.encode(definition), indent=_INDENT) + b"\n"
        return Response(text, media_type="application/json", headers=headers)
    return Response(dump_yaml(definition).encode(), media_type=MEDIA_TYPE, headers=headers)


HANDLERS: list[Any] = [list_revisions, diff_revisions, export_workflow]
