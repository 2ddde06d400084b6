"""Time travel: what changed between two versions, replay of a history, and shadow replay of a definition."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, get, post
from litestar.datastructures import State
from litestar.params import Parameter

from services.workflow.app.states import state_of
from services.workflow.app.time_travel import Replayed, changes_between, replay
from services.workflow.domain.changes import Change
from services.workflow.domain.language.parsing import parse_definition
from services.workflow.domain.language.program import Program, compile_program
from services.workflow.domain.shadow import Difference, shadow, why_not
from services.workflow.entry.bodies import whole_body
from services.workflow.entry.views import ONE_EXECUTION, program_of
from services.workflow.limits import MAX_DEFINITION_BYTES, MAX_SHADOWS_PAGE
from shared.auth.scopes import WORKFLOWS_READ
from shared.errors import InvalidInput
from shared.http.pages import decode_place, encode_place
from shared.limits import VERSION_MAX
from shared.paging import Place
from shared.scope import TenantScope

_Version = Annotated[int, Parameter(ge=1, le=VERSION_MAX)]


class Diff(msgspec.Struct):
    """What is different at version `to`. `truncated`: there is more than is listed."""

    from_version: int
    to_version: int
    changes: list[Change]
    truncated: bool


class ShadowRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A definition to be run over what is recorded of a workflow, and how many executions of it at once."""

    definition: dict[str, Any]
    last: Annotated[int, msgspec.Meta(ge=1, le=MAX_SHADOWS_PAGE)] = 50
    cursor: str | None = None


class ShadowView(msgspec.Struct):
    """One recorded execution and how the definition would have decided in it; `skipped` says why it was not run."""

    execution_id: UUID
    status: str
    shadow_status: str | None
    same: bool
    differences: list[Difference]
    stopped_at: list[str]
    more_differences: int = 0
    skipped: str | None = None


class ShadowPage(msgspec.Struct):
    """Shadows of the newest executions; `next_cursor` leads to older ones."""

    shadows: list[ShadowView]
    next_cursor: str | None


@get(
    ONE_EXECUTION + "/diff",
    opt={"scope": WORKFLOWS_READ},
    summary="What changed between two versions",
    tags=["executions"],
)
async def get_diff(
    caller: TenantScope,
    state: State,
    execution_id: UUID,
    from_version: Annotated[int, Parameter(query="from", ge=1, le=VERSION_MAX)],
    to_version: Annotated[int | None, Parameter(query="to", ge=1, le=VERSION_MAX)] = None,
) -> Diff:
    """Return what changed in an execution's state, place by place, from one version to another (default: the last)."""
    events = await state.executions.history(caller, execution_id, upto=to_version)
    reached = events[-1].version
    if from_version > reached:
        raise InvalidInput(f"It has no version {from_version} before version {reached}.")
    found, truncated = changes_between(events[:from_version], events)
    return Diff(from_version, reached, found, truncated)


@get(ONE_EXECUTION + "/replay", opt={"scope": WORKFLOWS_READ}, summary="Replay its history", tags=["executions"])
async def get_replay(caller: TenantScope, state: State, execution_id: UUID) -> Replayed:
    """Fold the history with the code that runs now, decide it anew, and say what differs from what was recorded."""
    row = await state.executions.row(caller, execution_id)
    events = await state.executions.history(caller, execution_id)
    return replay(events, row, await program_of(state, caller, state_of(events)))


@post(
    "/api/v1/workflows/workflows/{workflow_id:uuid}/shadow", opt={"scope": WORKFLOWS_READ},
    summary="Shadow replay of a definition", tags=["workflows"], status_code=200,
)  # fmt: skip
async def post_shadow(
    request: Request[Any, Any, Any], caller: TenantScope, state: State, workflow_id: UUID
) -> ShadowPage:
    """Run a definition over recorded executions of a workflow, with their recorded results, touching nothing outside.

    Steps for which nothing is recorded are where a shadow stops. Executions that run, that somebody cancelled or that
    time ended have none.
    """
    body = await whole_body(request, ShadowRequest, MAX_DEFINITION_BYTES)
    program = compile_program(parse_definition(body.definition))
    await state.workflows.read(caller, workflow_id, None)
    before = decode_place(body.cursor)
    rows = await state.executions.newest_ended(caller, workflow_id, before, body.last)
    found = [await _shadow(state, caller, row, program) for row in rows]
    following = encode_place(Place(rows[-1]["started_at"], rows[-1]["id"])) if len(rows) == body.last else None
    return ShadowPage(found, following)


async def _shadow(state: State, caller: TenantScope, row: Any, program: Program) -> ShadowView:
    recorded = state_of(await state.executions.history(caller, row["id"]))
    if reason := why_not(recorded, program):
        return ShadowView(row["id"], row["status"], None, False, [], [], skipped=reason)
    come = shadow(recorded, program)
    same = not come.differences and not come.stopped_at
    return ShadowView(row["id"], row["status"], come.status, same, come.differences, come.stopped_at, come.more)


HANDLERS: list[Any] = [get_diff, get_replay, post_shadow]
