"""`/api/v1/workflows/workflows/execute` and `/executions`: running workflows and looking at what they did."""

import asyncio
import datetime as dt
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.params import Parameter
from litestar.response import ServerSentEvent, ServerSentEventMessage

from services.workflow.app.ports import ArchivedHistory
from services.workflow.app.queries import EventView, ExecutionView, event_view, execution_view
from services.workflow.app.states import state_of
from services.workflow.domain.language.fields import Priority
from services.workflow.domain.state import ENDED
from services.workflow.entry.bodies import whole_body
from services.workflow.entry.messages import Answer, StartExecution, WorkflowRef
from services.workflow.entry.views import ONE_EXECUTION, program_of, shown_execution, workflow_row
from services.workflow.limits import (
    DEFAULT_PRIORITY,
    MAX_EXECUTION_EVENTS_PAGE,
    MAX_INPUT_BYTES,
    MAX_LABELS_BYTES,
    MAX_WAIT_SECONDS,
)
from shared.auth.scopes import WORKFLOWS_EXECUTE, WORKFLOWS_READ
from shared.errors import InvalidInput
from shared.http.idempotency import once
from shared.http.positions import EVENT_POSITION
from shared.limits import POSITION_MAX_DIGITS, SSE_KEEPALIVE_S, SSE_MIN_INTERVAL_S, VERSION_MAX
from shared.scope import TenantScope

_BASE = "/api/v1/workflows/workflows"
_TAGS = ["executions"]
_WAIT = re.compile(r"(?:^|[,;\s])wait=(\d+)")


class ExecuteRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Run a workflow, by id or slug."""

    workflow_id: WorkflowRef
    input_data: Any = {}
    context: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    tags: list[str] = []
    priority: Priority = DEFAULT_PRIORITY


class StatusView(msgspec.Struct):
    """Where an execution stands."""

    id: UUID
    status: str
    version: int
    started_at: dt.datetime
    completed_at: dt.datetime | None
    archived: bool = False


class EventPage(msgspec.Struct):
    """A stretch of an execution's history, oldest first; `next_after` continues it."""

    events: list[EventView]
    total: int
    next_after: int | None = None
    archived: bool = False


class StateView(msgspec.Struct):
    """An execution as of one of its events, with what its templates saw."""

    execution: ExecutionView
    scope: dict[str, Any]


def _wait_of(request: Request[Any, Any, Any]) -> float:
    match = _WAIT.search(request.headers.get("prefer", ""))
    return min(float(match[1]), MAX_WAIT_SECONDS) if match else 0.0


@post(_BASE + "/execute", opt={"scope": WORKFLOWS_EXECUTE}, summary="Run a workflow", tags=_TAGS)
async def execute(request: Request[Any, Any, Any], caller: TenantScope, state: State) -> Response[ExecutionView]:
    """Start an execution of an active workflow.

    Answers 202 as soon as the start is durable. With `Prefer: wait=N` it answers 200 with the finished execution if
    that ends within N seconds (at most 60), else 202. With an `Idempotency-Key` it starts once, however often sent.
    """
    body = await whole_body(request, ExecuteRequest, MAX_INPUT_BYTES + MAX_LABELS_BYTES, "input_data")

    async def handle(execution_id: UUID) -> Response[Any]:
        row = await workflow_row(state, caller, body.workflow_id)
        command = StartExecution(
            execution_id,
            caller.tenant_id,
            str(row["id"]),
            body.input_data,
            body.context,
            row["revision"],
            "http",
            caller.actor,
            request.state.traceparent,
            body.priority,
            body.attributes,
            body.tags,
        )
        wait = _wait_of(request)
        answer, ended = await started(state, caller, command, wait)
        found = await shown_execution(state, caller, execution_id)
        headers = {"Location": f"{_BASE}/executions/{execution_id}"}
        if answer.position:
            headers[EVENT_POSITION] = str(answer.position)
        if wait:
            headers["Preference-Applied"] = f"wait={wait:g}"
        done = ended or found.status in ENDED
        return Response(found, status_code=200 if done and wait else 202, headers=headers)

    return await once(request, caller, state.tenants, handle)


async def started(state: State, caller: TenantScope, command: StartExecution, wait: float) -> tuple[Answer, bool]:
    """Start an execution; return the engine's answer, and whether it ended within `wait` seconds."""
    if not wait:  # whoever is not waited for is not looked for at each commit, either
        return await state.sender.start(command), False
    with state.endings.expect(caller, command.execution_id) as ending:
        answer: Answer = await state.sender.start(command)
        return answer, answer.status in ENDED or await ending.wait(wait)


@get(ONE_EXECUTION, opt={"scope": WORKFLOWS_READ}, summary="One execution", tags=_TAGS)
async def get_execution(caller: TenantScope, state: State, execution_id: UUID) -> ExecutionView:
    """Return an execution with its steps, as its last event left it."""
    return await shown_execution(state, caller, execution_id)


@get(ONE_EXECUTION + "/status", opt={"scope": WORKFLOWS_READ}, summary="Its status", tags=_TAGS)
async def get_status(caller: TenantScope, state: State, execution_id: UUID) -> StatusView:
    """Return where an execution stands: cheap, for those who ask often (the stream is cheaper)."""
    row = await state.executions.row(caller, execution_id)
    return StatusView(row["id"], row["status"], row["version"], row["started_at"], row["completed_at"], row["archived"])


@get(ONE_EXECUTION + "/events", opt={"scope": WORKFLOWS_READ}, summary="Its history", tags=_TAGS)
async def get_events(
    caller: TenantScope,
    state: State,
    execution_id: UUID,
    after: int = Parameter(default=0, ge=0, le=VERSION_MAX, description="Only events with a higher version."),
    limit: int = Parameter(default=MAX_EXECUTION_EVENTS_PAGE, ge=1, le=MAX_EXECUTION_EVENTS_PAGE),
) -> EventPage:
    """Return the events of an execution, in order."""
    events = await state.executions.history(caller, execution_id, after=after, limit=limit)
    more = events[-1].version if len(events) == limit else None
    archived = isinstance(events, ArchivedHistory)
    return EventPage([event_view(event) for event in events], len(events), more, archived)


@get(ONE_EXECUTION + "/state", opt={"scope": WORKFLOWS_READ}, summary="Its state at any event", tags=_TAGS)
async def get_state(
    caller: TenantScope,
    state: State,
    execution_id: UUID,
    at_version: int | None = Parameter(default=None, ge=1, le=VERSION_MAX),
) -> StateView:
    """Fold the history up to an event: time travel. Without `at_version`, up to now."""
    folded = state_of(await state.executions.history(caller, execution_id, upto=at_version))
    return StateView(execution_view(folded, await program_of(state, caller, folded)), folded.scope)


@get(ONE_EXECUTION + "/stream", opt={"scope": WORKFLOWS_READ}, summary="Its events, live", tags=_TAGS)
async def stream(
    request: Request[Any, Any, Any], caller: TenantScope, state: State, execution_id: UUID
) -> ServerSentEvent:
    """Send the execution's events as they are recorded, and end with it.

    Each has its version as id: reconnecting with `Last-Event-ID` goes on after it, now or in a year.
    """
    await state.executions.row(caller, execution_id)
    after = _last_seen(request.headers.get("last-event-id", "0"))
    return ServerSentEvent(_follow(state, caller, execution_id, after))


def _last_seen(text: str) -> int:
    if text.isdecimal() and text.isascii() and len(text) <= POSITION_MAX_DIGITS:
        version = int(text)
        if version <= VERSION_MAX:
            return version
    raise InvalidInput("Last-Event-ID is the version of an event.")


async def _follow(
    state: State, caller: TenantScope, execution_id: UUID, after: int
) -> AsyncIterator[ServerSentEventMessage]:
    quiet = 0.0
    with state.waker.listener() as listener:
        while not state.stopping.is_set():
            events = await state.executions.history(caller, execution_id, after=after, limit=MAX_EXECUTION_EVENTS_PAGE)
            for event in events:
                after = event.version
                quiet = 0.0
                yield ServerSentEventMessage(
                    data=msgspec.json.encode(event_view(event)).decode(), event=event.type, id=str(event.version)
                )
            if not events or events[-1].type.startswith("workflow.execution-"):
                row = await state.executions.row(caller, execution_id)
                if row["status"] in ENDED and row["version"] <= after:
                    return
            began = asyncio.get_running_loop().time()
            await asyncio.sleep(SSE_MIN_INTERVAL_S)  # commits come by the thousand; a person reads ten a second
            await listener.wait()
            quiet += asyncio.get_running_loop().time() - began
            if quiet > SSE_KEEPALIVE_S:
                quiet = 0.0
                yield ServerSentEventMessage(comment="still here")


HANDLERS: list[Any] = [
    execute,
    get_execution,
    get_status,
    get_events,
    get_state,
    stream,
]
