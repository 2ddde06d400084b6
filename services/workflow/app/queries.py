"""What can be asked of executions: one is folded from its events, so it is never stale; lists come from status rows."""

import datetime as dt
from typing import Any
from uuid import UUID

import msgspec

from services.workflow.app.slots import Queued
from services.workflow.domain.language.program import Program
from services.workflow.domain.state import ExecutionState, StepState
from services.workflow.domain.step_error import StepError
from services.workflow.domain.where import name_of
from shared.eventstore.event import RecordedEvent, decode_meta


class StepView(msgspec.Struct):
    """One step of an execution, as the API shows it."""

    step_name: str
    step_path: str
    step_type: str | None
    status: str
    input_data: Any
    output_data: Any
    error: StepError | None
    retry_count: int
    duration_ms: int | None
    started_at: dt.datetime
    completed_at: dt.datetime | None
    agent_id: str | None = None


class ExecutionView(msgspec.Struct):
    """An execution, as the API shows it. `version` counts its events.

    `queued_for` says for which concurrency key it waits, and its place in that queue.
    """

    id: UUID
    tenant_id: UUID
    workflow_id: UUID | None
    workflow_revision: int
    status: str
    version: int
    started_at: dt.datetime | None
    created_at: dt.datetime | None
    completed_at: dt.datetime | None
    duration_ms: int | None
    current_step: str | None = None
    input_data: Any = None
    output_data: Any = None
    context: dict[str, Any] = {}
    error: StepError | None = None
    steps: list[StepView] = []
    priority: int | None = None
    trigger: str | None = None
    attributes: dict[str, Any] = {}
    tags: list[str] = []
    error_code: str | None = None
    queued_for: Queued | None = None
    archived: bool = False


class EventView(msgspec.Struct):
    """One event of an execution's history."""

    position: int
    version: int
    type: str
    data: msgspec.Raw
    recorded_at: dt.datetime
    correlation_id: str | None
    causation_id: str | None
    actor: str


def event_view(event: RecordedEvent) -> EventView:
    """Return an event as the API shows it."""
    meta = decode_meta(event.meta)
    return EventView(
        event.position,
        event.version,
        event.type,
        msgspec.Raw(event.data),
        event.recorded_at,
        meta.correlation_id,
        meta.causation_id,
        meta.actor,
    )


def execution_view(state: ExecutionState, program: Program | None) -> ExecutionView:
    """Return an execution with its steps, in the order in which they began."""
    began = _time(state.started_at)
    current = state.open_paths()
    return ExecutionView(
        id=state.id,
        tenant_id=state.tenant_id,
        workflow_id=state.workflow_id,
        workflow_revision=state.revision,
        status=state.status,
        version=state.version,
        started_at=began,
        created_at=began,
        completed_at=_time(state.ended_at),
        duration_ms=None if state.ended_at is None else state.ended_at - state.started_at,
        current_step=name_of(current[0]) if current else None,
        input_data=state.scope.get("input"),
        output_data=state.output,
        context=state.context,
        error=state.error,
        steps=[_step_view(step, program) for step in state.steps.values()],
        priority=state.priority,
        trigger=state.trigger,
        attributes=state.attributes,
        tags=state.tags,
        error_code=None if state.error is None else state.error.code,
        archived=state.archived,
    )


def _step_view(step: StepState, program: Program | None) -> StepView:
    name = name_of(step.path)
    node = None if program is None else program.nodes.get(name)
    started = dt.datetime.fromtimestamp(step.started_at / 1000, dt.UTC)
    return StepView(
        step_name=name,
        step_path=step.path,
        step_type=None if node is None else node.type,
        status=step.status,
        input_data=step.input,
        output_data=step.output,
        error=step.error,
        retry_count=step.attempt - 1,
        duration_ms=None if step.completed_at is None else step.completed_at - step.started_at,
        started_at=started,
        completed_at=_time(step.completed_at),
    )


def _time(milliseconds: int | None) -> dt.datetime | None:
    return None if milliseconds is None else dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)
