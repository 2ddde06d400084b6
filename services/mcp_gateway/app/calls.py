"""Calling a tool: look up, check, record, call, screen, record.

What the configs of the server say is asked before the server hears of anything; each call that they let through takes
from their rates, also if its arguments turn out not to fit.

A tool that does not declare itself read-only or idempotent has its `requested` event on disk before the server hears
of the call. If this process dies then, whoever asks for the same call again learns that it was interrupted; the tool
is not called a second time behind anybody's back. Calls of other tools are recorded afterwards, in batches.
"""

import asyncio
import datetime as dt
import logging
import random
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

import msgspec

from services.mcp_gateway.app.arguments import arguments_of
from services.mcp_gateway.app.policy import Policies, check_allowed
from services.mcp_gateway.app.ports import (
    ArgumentCheck,
    Caller,
    CallObserver,
    CallUnit,
    KnownTool,
    Records,
    Servers,
    ToolAnswer,
    Upstreams,
)
from services.mcp_gateway.app.recording import ended, outcome_of, requested, unit
from services.mcp_gateway.app.relay import Relay
from services.mcp_gateway.app.trust import Trust
from services.mcp_gateway.domain.bounds import check_size
from services.mcp_gateway.domain.call import (
    RETRYABLE,
    CallFailure,
    CallOutcome,
    CallRequest,
    as_sent,
    output_of,
    tool_said,
)
from services.mcp_gateway.domain.events import ToolCallRequested
from services.mcp_gateway.domain.policy import Policy
from services.mcp_gateway.domain.retry import pause
from services.mcp_gateway.domain.screening import Finding, screen_result
from services.mcp_gateway.domain.server import Server
from services.mcp_gateway.errors import (
    ArgumentsTooLarge,
    ResultFlagged,
    ResultTooLarge,
    ServerDisabled,
    ToolCancelled,
    ToolError,
    ToolInterrupted,
    ToolNotFound,
    ToolQuarantined,
    ToolTimeout,
)
from services.mcp_gateway.limits import CALL_SECONDS_DEFAULT, CALL_SECONDS_MAX, RECORD_WAIT_SECONDS
from shared.errors import PlatformError, RateLimited, Unavailable
from shared.eventstore.errors import ConcurrentAppend
from shared.ids import new_id
from shared.scope import TenantScope
from shared.secrets.redaction import NOTHING_SECRET
from shared.secrets.source import SecretSource

_log = logging.getLogger(__name__)
_NEEDS_CLIENT = CallFailure("tool_error", "The tool wants to ask an MCP client first, and none is behind this call.")
T = TypeVar("T")


class ToolCalls:
    """The one way to a tool, for every way in."""

    def __init__(
        self,
        servers: Servers,
        policies: Policies,
        upstreams: Upstreams,
        trust: Trust,
        records: Records,
        check: ArgumentCheck,
        secrets: SecretSource,
        observer: CallObserver,
    ) -> None:
        self._servers = servers
        self._policies = policies
        self._upstreams = upstreams
        self._trust = trust
        self._records = records
        self._check = check
        self._observer = observer
        self._secrets = secrets

    async def execute(self, scope: TenantScope, request: CallRequest, relay: Relay | None = None) -> CallOutcome:
        """Call a tool of one of the tenant's servers and return how it ended, well or not.

        `relay` is the way back to the MCP client that asks, if one does. A cancelled call is recorded as such.
        Raises `NotFound` for an unknown server and `Unavailable` when calls cannot be recorded or their rules cannot be
        known now: neither leaves a record, and nothing was called.
        """
        server = await self._servers.find(scope, request.server)
        policy = await self._policies.of(scope, server.id, request.agent_id, request.profile)
        self._records.admit()
        call = _Call(request, policy.used(server), policy, relay)
        outcome = await self._run(scope, call)
        ended_as = "ok" if outcome.failure is None else outcome.failure.code
        self._observer.observe_call(ended_as, call.elapsed_ms / 1000.0, call.attempts)
        for finding in call.findings:
            self._observer.observe_result(finding.rule)
        return outcome

    async def _run(self, scope: TenantScope, call: "_Call") -> CallOutcome:
        request, server = call.request, call.server
        try:
            tool = await self._accept(scope, call)
        except PlatformError as refusal:
            if isinstance(refusal, ArgumentsTooLarge | RateLimited):  # so that a flood does not fill the disk
                call.request = msgspec.structs.replace(call.request, arguments={})
            return await self._refuse(scope, call, _failure_of(refusal))
        if tool.repeatable:
            try:
                outcome = await self._call_repeatedly(scope, call)
            except asyncio.CancelledError:
                self._record_whole(scope, call, call.failed(_cancelled()), tool.definition_hash)
                raise
            self._record_whole(scope, call, outcome, tool.definition_hash)
            return outcome
        begun = call.requested(tool.definition_hash)
        try:
            await self._begin(scope, call, unit(scope, request, server.id, call.started_at, [(1, begun)], None))
        except ConcurrentAppend:
            earlier = await (self._recorded if tool.resumes else self._earlier)(scope, call)
            if earlier is not None:
                return earlier
        try:
            outcome = await self._call(scope, call, call.tool_seconds)
        except asyncio.CancelledError:
            self._records.write_later(self._end_of(scope, call, call.failed(as_sent(_cancelled()))))
            raise
        if outcome.failure is not None:
            outcome = msgspec.structs.replace(outcome, failure=as_sent(outcome.failure))
        return await self._end(scope, call, outcome)

    async def _begin(self, scope: TenantScope, call: "_Call", begun: CallUnit) -> None:
        """Write the beginning. A caller that goes away meanwhile does not stop that, so the end has to follow it."""
        writing = asyncio.ensure_future(self._records.write(begun))

        def end(written: "asyncio.Future[int]") -> None:
            if not written.cancelled() and written.exception() is None:
                self._records.write_later(self._end_of(scope, call, call.failed(_cancelled())))

        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            writing.add_done_callback(end)
            raise

    async def _accept(self, scope: TenantScope, call: "_Call") -> KnownTool:
        request, server = call.request, call.server
        check_size(request.arguments)
        if server.status != "active":
            raise ServerDisabled(f"The server {server.definition.slug!r} is switched off.")
        check_allowed(call.policy, request.tool_name, request.profile)
        self._policies.admit(scope, call.policy)
        vetted = (await self._in_time(call, self._trust.tools(scope, server))).get(request.tool_name)
        if vetted is None:
            raise ToolNotFound(
                f"The server {server.definition.slug!r} has no tool {request.tool_name!r}.",
                details={"tool": request.tool_name},
            )
        tool = vetted.tool
        if tool.needs is not None:
            scope.require(tool.needs)
        if vetted.quarantined:
            raise ToolQuarantined(
                f"Nobody approved how the server {server.definition.slug!r} describes its tool "
                f"{request.tool_name!r} now: look at /api/v1/mcp/servers/{server.id}/definitions, and approve it.",
                details={
                    "tool": request.tool_name,
                    "reason": vetted.reason,
                    "definition_hash": tool.definition_hash,
                },
            )
        if request.secret_paths:
            filling = arguments_of(request, server.tenant_id, self._secrets)
            call.arguments, call.redaction = await self._in_time(call, filling)
        with call.redaction:
            self._check(tool.definition_hash, tool.input_schema, call.arguments)
        return tool

    @staticmethod
    async def _in_time(call: "_Call", work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(max(0.0, call.seconds_left)):
                return await work
        except TimeoutError as error:
            message = "The time for this call was over before its server was ready: nothing was called."
            raise ToolTimeout(message) from error

    async def _refuse(self, scope: TenantScope, call: "_Call", failure: CallFailure) -> CallOutcome:
        """Record and return why nothing was called.

        A task may have come before, to a gateway that died while it called the tool: then that is the answer, and not
        that it may be tried again. A refusal of anything else has an id of its own, so that the caller can mend the
        cause and ask again under the same `Idempotency-Key`.
        """
        if call.request.task_id is None:
            call.request = msgspec.structs.replace(call.request, id=new_id())
            outcome = call.failed(failure)
            self._record_whole(scope, call, outcome, None)
            return outcome
        outcome = call.failed(failure)
        try:
            position = await self._records.write(self._whole(scope, call, outcome, None))
        except ConcurrentAppend:
            return await self._earlier(scope, call)
        return msgspec.structs.replace(outcome, position=position)

    async def _call_repeatedly(self, scope: TenantScope, call: "_Call") -> CallOutcome:
        """Call a tool that may be repeated, again as often as its configs say, all within the time of one call.

        Each time takes from the rates as the first did.
        """
        seconds = call.tool_seconds
        until = time.perf_counter() + seconds
        while True:
            outcome = await self._call(scope, call, seconds)
            failure = outcome.failure
            if failure is None or failure.code not in RETRYABLE or call.attempts > call.policy.max_retries:
                return outcome
            wait = pause(call.attempts, failure.details.get("retry_after"), random.random())  # noqa: S311 - no secret
            if wait >= until - time.perf_counter():
                return outcome
            await asyncio.sleep(wait)
            try:
                self._policies.admit(scope, call.policy)
            except RateLimited:
                return outcome
            call.attempts += 1
            seconds = max(0.001, until - time.perf_counter())

    async def _call(self, scope: TenantScope, call: "_Call", seconds: float) -> CallOutcome:
        try:
            with call.redaction:
                answer = await self._upstreams.call(
                    call.server,
                    call.request.tool_name,
                    call.arguments,
                    seconds,
                    call.relay,
                    Caller(scope.actor, call.request.id),
                )
        except ToolError as error:
            call.findings = screen_result([], {"message": error.message, **error.details})
            return call.failed(_failure_of(_flagged(call) if call.blocks_result else error))
        except PlatformError as error:
            return call.failed(_failure_of(error))
        except Exception:  # noqa: BLE001 - a bug must not look like something that may be repeated
            _log.exception("the call %s failed", call.request.id)
            broken = ToolInterrupted("The gateway failed during this call: its log says why.")
            return call.failed(_failure_of(broken))
        return self._answered(call, answer)

    @staticmethod
    def _answered(call: "_Call", answer: ToolAnswer) -> CallOutcome:
        asked = msgspec.json.decode(answer.raw) if answer.input_required and answer.raw is not None else None
        call.findings = screen_result(answer.content, answer.structured if asked is None else asked)
        if call.blocks_result:
            return call.failed(_failure_of(_flagged(call)), answer.duration_ms)
        call.answer = answer
        if answer.is_error:
            content, structured = call.redaction.data([answer.content, answer.structured]) or ([], None)
            return call.failed(tool_said(content, structured), answer.duration_ms)
        if answer.input_required:
            if call.relay is None:
                return call.failed(_NEEDS_CLIENT, answer.duration_ms)
            return call.completed({"input_required": True}, answer.duration_ms)
        output = output_of(answer.content, answer.structured)
        limit = call.request.result_max_bytes
        if limit is not None and (size := len(msgspec.json.encode(output))) > limit:
            message = f"The result of {call.request.tool_name!r} has {size} bytes; a step takes at most {limit}."
            too_large = ResultTooLarge(message, details={"bytes": size, "limit": limit})
            return call.failed(_failure_of(too_large), answer.duration_ms)
        return call.completed(output, answer.duration_ms)

    async def _end(self, scope: TenantScope, call: "_Call", outcome: CallOutcome) -> CallOutcome:
        """Record how a begun call ended, and return it: as it is on record, if that is known in time.

        An error here would make the caller repeat what was done. So while the database is away the end waits for it,
        and the caller does not wait for longer than it has time.
        """
        try:
            end = self._end_of(scope, call, outcome)
            position = await self._records.write_surely(end, min(RECORD_WAIT_SECONDS, max(0.0, call.seconds_left)))
        except ConcurrentAppend:
            return await self._recorded(scope, call) or outcome
        return msgspec.structs.replace(outcome, position=position)

    async def _earlier(self, scope: TenantScope, call: "_Call") -> CallOutcome:
        """Answer a call that was begun before: as it ended, or as interrupted, which is recorded as its end."""
        interruption = as_sent(_failure_of(ToolInterrupted("The gateway stopped during this call.")))
        return await self._recorded(scope, call) or await self._end(scope, call, call.failed(interruption))

    async def _recorded(self, scope: TenantScope, call: "_Call") -> CallOutcome | None:
        """Return how a call ended that was begun before, if that can be known now."""
        try:
            events = await self._records.events_of(call.request.id)
        except Unavailable:
            return None
        return outcome_of([event for event in events if event.tenant_id == scope.tenant_id])

    def _record_whole(self, scope: TenantScope, call: "_Call", outcome: CallOutcome, digest: str | None) -> None:
        self._records.write_later(self._whole(scope, call, outcome, digest))

    @staticmethod
    def _end_of(scope: TenantScope, call: "_Call", outcome: CallOutcome) -> CallUnit:
        return unit(scope, call.request, call.server.id, call.started_at, [(2, ended(outcome))], outcome)

    @staticmethod
    def _whole(scope: TenantScope, call: "_Call", outcome: CallOutcome, digest: str | None) -> CallUnit:
        events = [(1, call.requested(digest)), (2, ended(outcome))]
        return unit(scope, call.request, call.server.id, call.started_at, events, outcome)


class _Call:
    """One call under way, and its clock. `server` is as it is used under `policy`.

    `arguments` are those that are sent, `request` is what is recorded.
    """

    def __init__(self, request: CallRequest, server: Server, policy: Policy, relay: Relay | None) -> None:
        self.request = request
        self.server = server
        self.policy = policy
        self.relay = relay
        self.attempts = 1
        self.answer: ToolAnswer | None = None
        self.findings: tuple[Finding, ...] = ()
        self.arguments = request.arguments
        self.redaction = NOTHING_SECRET
        self.started_at = dt.datetime.now(dt.UTC)
        self._began = time.perf_counter()

    @property
    def seconds_left(self) -> float:
        deadline = self.request.deadline
        return CALL_SECONDS_MAX if deadline is None else deadline - time.time()

    @property
    def tool_seconds(self) -> float:
        """How long the tool may take: the least of what the caller, the server's owner and configs say, and is left."""
        named = (
            self.request.timeout_seconds,
            self.server.definition.config.timeout_seconds,
            self.policy.timeout_seconds,
        )
        said = [seconds for seconds in named if seconds is not None]
        if not said and self.request.deadline is None:
            said = [CALL_SECONDS_DEFAULT]
        return max(0.001, min(*said, self.seconds_left, CALL_SECONDS_MAX))

    @property
    def blocks_result(self) -> bool:
        return bool(self.findings) and self.server.definition.config.screening == "block"

    @property
    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self._began) * 1000.0

    def requested(self, definition_hash: str | None) -> ToolCallRequested:
        decided = self.policy.record(self.policy.decide(self.request.tool_name))
        return requested(self.request, self.server, definition_hash, self.started_at, decided)

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
            answer=None if self.answer is None else self.answer.raw,
            findings=self.findings,
            attempts=self.attempts,
        )


def _flagged(call: _Call) -> ResultFlagged:
    """Return why a result is not passed on: by its rules alone, since an excerpt would pass on what it is about."""
    found = sorted({finding.rule for finding in call.findings})
    message = f"The result of {call.request.tool_name!r} holds text that speaks to the model: {', '.join(found)}."
    return ResultFlagged(message, details={"rules": found})


def _cancelled() -> CallFailure:
    return _failure_of(ToolCancelled("The caller took the call back while it ran."))


def _failure_of(error: PlatformError) -> CallFailure:
    details = error.details if error.retry_after is None else {**error.details, "retry_after": error.retry_after}
    return CallFailure(error.code, error.message, error.code in RETRYABLE, details, error.faults)
