"""Ends the calls whose gateway ended under them, and that nobody asked for again: else they would run for ever."""

import asyncio
import datetime as dt
import logging
from typing import Protocol
from uuid import UUID

import msgspec

from services.mcp_gateway.app.ports import Records
from services.mcp_gateway.app.recording import ended, unit
from services.mcp_gateway.domain.call import CallFailure, CallOutcome, CallRequest, as_sent
from services.mcp_gateway.errors import ToolInterrupted
from services.mcp_gateway.limits import CALL_SECONDS_MAX, INTERRUPTED_GRACE_SECONDS, INTERRUPTED_LOOK_SECONDS
from shared.errors import Unavailable
from shared.eventstore.errors import ConcurrentAppend
from shared.scope import TenantScope

_log = logging.getLogger(__name__)
_ACTOR = "service:mcp_gateway"


class RunningCall(msgspec.Struct, frozen=True):
    """A call that has a beginning on record and no end."""

    tenant_id: UUID
    id: UUID
    server_id: UUID
    tool_name: str
    agent_id: UUID | None
    conversation_id: UUID | None
    attempt: int
    parent_id: UUID | None
    started_at: dt.datetime


class RunningCalls(Protocol):
    """The calls of all tenants that run."""

    async def begun_before(self, time: dt.datetime) -> list[RunningCall]:
        """Return some that began before then, the oldest first. Raises `Unavailable`."""
        ...


class Interrupted:
    """Looks now and then. A call that began longer ago than one may take is under way nowhere."""

    def __init__(self, running: RunningCalls, records: Records) -> None:
        self._running = running
        self._records = records

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.end_all(dt.datetime.now(dt.UTC))
            except Unavailable as error:
                _log.info("calls that were interrupted cannot be looked for now: %s", error.message)
            await asyncio.sleep(INTERRUPTED_LOOK_SECONDS)

    async def end_all(self, now: dt.datetime) -> int:
        """Record the ends, and return of how many."""
        longest = dt.timedelta(seconds=CALL_SECONDS_MAX + INTERRUPTED_GRACE_SECONDS)
        calls = await self._running.begun_before(now - longest)
        for call in calls:
            await self._end(call, now)
        return len(calls)

    async def _end(self, call: RunningCall, now: dt.datetime) -> None:
        why = ToolInterrupted("The gateway stopped during this call.")
        outcome = CallOutcome(
            id=call.id,
            server_id=call.server_id,
            tool_name=call.tool_name,
            started_at=call.started_at,
            completed_at=now,
            duration_ms=round((now - call.started_at) / dt.timedelta(milliseconds=1), 3),
            failure=as_sent(CallFailure(why.code, why.message)),
        )
        request = CallRequest(
            id=call.id,
            server=str(call.server_id),
            tool_name=call.tool_name,
            arguments={},
            agent_id=call.agent_id,
            conversation_id=call.conversation_id,
            attempt=call.attempt,
            parent_id=call.parent_id,
        )
        scope = TenantScope(call.tenant_id, _ACTOR)
        try:
            await self._records.write(
                unit(scope, request, call.server_id, call.started_at, [(2, ended(outcome))], outcome)
            )
        except ConcurrentAppend:
            _log.info("the call %s was ended by somebody else", call.id)
