"""Calling a tool: look up, check, record, call, record.

A tool that does not declare itself read-only or idempotent has its `requested` event on disk before the server hears
of the call. If this process dies then, whoever asks for the same call again learns that it was interrupted; the tool
is not called a second time behind anybody's back. Calls of other tools are recorded afterwards, in batches.
"""

import datetime as dt
import time
from typing import Any
from uuid import UUID

from services.mcp_gateway.app.ports import ArgumentCheck, KnownTool, Observe, Records, Servers, Upstreams
from services.mcp_gateway.app.recording import ended, outcome_of, requested, unit
from services.mcp_gateway.domain.call import RETRYABLE, CallFailure, CallOutcome, CallRequest, output_of, tool_said
from services.mcp_gateway.domain.server import Server
from services.mcp_gateway.errors import ServerDisabled, ToolInterrupted, ToolNotFound
from services.mcp_gateway.limits import CALL_SECONDS_DEFAULT, CALL_SECONDS_MAX
from shared.errors import PlatformError
from shared.eventstore.errors import ConcurrentAppend
from shared.scope import TenantScope


class ToolCalls:
    """The one way to a tool, for every way in."""

    def __init__(
        self, servers: Servers, upstreams: Upstreams, records: Records, check: ArgumentCheck, observe: Observe
    ) -> None:
        self._servers = servers
        self._upstreams = upstreams
        self._records = records
        self._check = check
        self._observe = observe

    async def execute(self, scope: TenantScope, request: CallRequest) -> CallOutcome:
        """Call a tool of one of the tenant's servers and return how it ended, well or not.

        Raises `NotFound` for an unknown server and `Unavailable` when calls cannot be recorded now: neither leaves a
        record, and nothing was called.
        """
        server = await self._servers.find(scope, request.server)
        self._records.admit()
        call = _Call(request, server)
        outcome = await self._run(scope, call)
        self._observe("ok" if outcome.failure is None else outcome.failure.code, call.elapsed_ms / 1000.0)
        return outcome

    async def _run(self, scope: TenantScope, call: "_Call") -> CallOutcome:
        request, server = call.request, call.server
        try:
            tool = await self._accept(request, server)
        except PlatformError as refusal:
            outcome = call.failed(_failure_of(refusal))
            self._record_whole(scope, call, outcome, None)
            return outcome
        if tool.repeatable:
            outcome = await self._call(call)
            self._record_whole(scope, call, outcome, tool.definition_hash)
            return outcome
        begun = requested(request, server, tool.definition_hash, call.started_at)
        try:
            await self._records.write(unit(scope, request, server, call.started_at, [(1, begun)], None))
        except ConcurrentAppend:
            return await self._earlier(scope, call)
        outcome = await self._call(call)
        try:
            await self._records.write(unit(scope, request, server, call.started_at, [(2, ended(outcome))], outcome))
        except ConcurrentAppend:
            return await self._earlier(scope, call)
        return outcome

    async def _accept(self, request: CallRequest, server: Server) -> KnownTool:
        if server.status != "active":
            raise ServerDisabled(f"The server {server.definition.slug!r} is switched off.")
        tool = (await self._upstreams.tools(server)).get(request.tool_name)
        if tool is None:
            raise ToolNotFound(
                f"The server {server.definition.slug!r} has no tool {request.tool_name!r}.",
                details={"tool": request.tool_name},
            )
        self._check(tool.definition_hash, tool.input_schema, request.arguments)
        return tool

    async def _call(self, call: "_Call") -> CallOutcome:
        wanted = call.request.timeout_seconds or call.server.definition.config.timeout_seconds or CALL_SECONDS_DEFAULT
        try:
            answer = await self._upstreams.call(
                call.server, call.request.tool_name, call.request.arguments, min(wanted, CALL_SECONDS_MAX)
            )
        except PlatformError as error:
            return call.failed(_failure_of(error))
        if answer.is_error:
            return call.failed(tool_said(answer.content, answer.structured), answer.duration_ms)
        return call.completed(output_of(answer.content, answer.structured), answer.duration_ms)

    def _record_whole(self, scope: TenantScope, call: "_Call", outcome: CallOutcome, digest: str | None) -> None:
        begun = requested(call.request, call.server, digest, call.started_at)
        events = [(1, begun), (2, ended(outcome))]
        self._records.write_later(unit(scope, call.request, call.server, call.started_at, events, outcome))

    async def _ended_as(self, scope: TenantScope, call_id: UUID) -> CallOutcome | None:
        events = await self._records.events_of(call_id)
        return outcome_of([event for event in events if event.tenant_id == scope.tenant_id])

    async def _earlier(self, scope: TenantScope, call: "_Call") -> CallOutcome:
        """Answer a call that was begun before: as it ended, or as interrupted, which is recorded as its end."""
        earlier = await self._ended_as(scope, call.request.id)
        if earlier is not None:
            return earlier
        interruption = ToolInterrupted("The gateway stopped during this call. Whether the tool acted is not known.")
        outcome = call.failed(_failure_of(interruption))
        try:
            events = [(2, ended(outcome))]
            await self._records.write(unit(scope, call.request, call.server, call.started_at, events, outcome))
        except ConcurrentAppend:
            earlier = await self._ended_as(scope, call.request.id)
            if earlier is not None:
                return earlier
        return outcome


class _Call:
    """One call under way, and its clock."""

    def __init__(self, request: CallRequest, server: Server) -> None:
        self.request = request
        self.server = server
        self.started_at = dt.datetime.now(dt.UTC)
        self._began = time.perf_counter()

    @property
    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self._began) * 1000.0

    def completed(self, result: Any, response_ms: float) -> CallOutcome:
        return self._ended(result, None, response_ms)

    def failed(self, failure: CallFailure, response_ms: float | None = None) -> CallOutcome:
        return self._ended(None, failure, response_ms)

    def _ended(self, result: Any, failure: CallFailure | None, response_ms: float | None) -> CallOutcome:
        elapsed = self.elapsed_ms
        return CallOutcome(
            id=self.request.id,
            server_id=self.server.id,
            tool_name=self.request.tool_name,
            started_at=self.started_at,
            completed_at=self.started_at + dt.timedelta(milliseconds=elapsed),
            duration_ms=round(elapsed, 3),
            result=result,
            failure=failure,
            response_ms=None if response_ms is None else round(response_ms, 3),
        )


def _failure_of(error: PlatformError) -> CallFailure:
    details = error.details if error.retry_after is None else {**error.details, "retry_after": error.retry_after}
    return CallFailure(error.code, error.message, error.code in RETRYABLE, details, error.faults)
