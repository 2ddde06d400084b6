"""A call as events and as a row of the history, and back."""

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from services.mcp_gateway.app.ports import CallUnit
from services.mcp_gateway.domain.call import CallFailure, CallOutcome, CallRequest
from services.mcp_gateway.domain.events import CATALOGUE, ToolCallCompleted, ToolCallFailed, ToolCallRequested
from services.mcp_gateway.domain.server import Server
from services.mcp_gateway.limits import CALL_TEXT_MAX_CHARS
from shared.errors import FieldFault
from shared.eventstore.catalogue import DomainEvent
from shared.eventstore.event import EventMeta, NewEvent, RecordedEvent, encode_meta
from shared.scope import TenantScope
from shared.telemetry.trace import current_trace_id, current_traceparent


def requested(
    request: CallRequest,
    server: Server,
    definition_hash: str | None,
    at: dt.datetime,
    policy: dict[str, Any] | None = None,
) -> ToolCallRequested:
    """Return the event of a call's beginning. `policy` is what was decided, as `Policy.record` gives it."""
    return ToolCallRequested(
        server_id=server.id,
        tool_name=request.tool_name,
        arguments=request.arguments,
        requested_at=at,
        definition_hash=definition_hash,
        agent_id=request.agent_id,
        conversation_id=request.conversation_id,
        task_id=request.task_id,
        attempt=request.attempt,
        parent_id=request.parent_id,
        timeout_seconds=request.timeout_seconds,
        profile=request.profile,
        policy=policy or {},
    )


def ended(outcome: CallOutcome) -> ToolCallCompleted | ToolCallFailed:
    """Return the event of a call's end."""
    failure = outcome.failure
    if failure is None:
        return ToolCallCompleted(
            server_id=outcome.server_id,
            tool_name=outcome.tool_name,
            result=outcome.result,
            duration_ms=outcome.duration_ms,
            response_ms=outcome.response_ms or 0.0,
            completed_at=outcome.completed_at,
            findings=list(outcome.findings),
            attempts=outcome.attempts,
        )
    return ToolCallFailed(
        server_id=outcome.server_id,
        tool_name=outcome.tool_name,
        code=failure.code,
        message=failure.message[:CALL_TEXT_MAX_CHARS],
        retryable=failure.retryable,
        duration_ms=outcome.duration_ms,
        completed_at=outcome.completed_at,
        response_ms=outcome.response_ms,
        details={**failure.details, "faults": msgspec.to_builtins(failure.faults)}
        if failure.faults
        else failure.details,
        findings=list(outcome.findings),
        attempts=outcome.attempts,
    )


def unit(
    scope: TenantScope,
    request: CallRequest,
    server_id: UUID,
    at: dt.datetime,
    events: Sequence[tuple[int, DomainEvent]],
    outcome: CallOutcome | None,
) -> CallUnit:
    """Return what is written: the events with their versions, and the row as it stands after them."""
    meta = encode_meta(
        EventMeta(
            actor=scope.actor,
            correlation_id=request.correlation_id or current_trace_id(),
            causation_id=request.task_id,
            traceparent=current_traceparent(),
        )
    )
    stored = [
        NewEvent(scope.tenant_id, request.id, version, event.TYPE, CATALOGUE.encode(event), meta)
        for version, event in events
    ]
    failure = outcome.failure if outcome is not None else None
    status = "running" if outcome is None else "completed" if failure is None else "failed"
    row: tuple[Any, ...] = (
        scope.tenant_id,
        request.id,
        server_id,
        request.tool_name,
        request.agent_id,
        request.conversation_id,
        status,
        failure.code if failure else None,
        failure.message[:CALL_TEXT_MAX_CHARS].replace("\0", "") if failure else None,
        outcome.duration_ms if outcome else None,
        outcome.response_ms if outcome else None,
        request.attempt + (outcome.attempts - 1 if outcome else 0),
        request.parent_id,
        at,
        outcome.completed_at if outcome else None,
    )
    return CallUnit(stored, row, sum(len(event.data) for event in stored))


def outcome_of(events: list[RecordedEvent]) -> CallOutcome | None:
    """Return how a recorded call ended, or None if its end is not recorded."""
    decoded = [CATALOGUE.decode(event.type, event.data) for event in events]
    begun = next((event for event in decoded if isinstance(event, ToolCallRequested)), None)
    end = next((event for event in decoded if isinstance(event, ToolCallCompleted | ToolCallFailed)), None)
    if begun is None or end is None:
        return None
    failure = None
    if isinstance(end, ToolCallFailed):
        details = dict(end.details)
        faults = msgspec.convert(details.pop("faults", []), list[FieldFault])
        failure = CallFailure(end.code, end.message, end.retryable, details, faults)
    return CallOutcome(
        id=events[0].stream_id,
        server_id=end.server_id,
        tool_name=end.tool_name,
        started_at=begun.requested_at,
        completed_at=end.completed_at,
        duration_ms=end.duration_ms,
        result=end.result if isinstance(end, ToolCallCompleted) else None,
        failure=failure,
        response_ms=end.response_ms,
        position=events[-1].position,
        findings=tuple(end.findings),
        attempts=end.attempts,
    )
