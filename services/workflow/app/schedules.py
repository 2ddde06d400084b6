"""Fires the schedules of active workflows.

A run's id is derived from its moment, and the place up to which a schedule has fired moves on only once the start is
durable: whoever fires the same moment again, after a crash or beside another process, starts nothing new.
"""

import asyncio
import datetime as dt
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol
from uuid import UUID

import msgspec

from services.workflow.app.ports import OUTAGES, Programs
from services.workflow.app.starting import Door, Request
from services.workflow.domain.language.definition import ScheduleTrigger
from services.workflow.domain.language.triggering import fire
from services.workflow.domain.schedules import Due, ScheduleKey, due, keyed, rfc3339, scope_of
from services.workflow.errors import WorkflowNotActive, WorkflowNotFound
from services.workflow.limits import SCHEDULE_PAGE, SCHEDULE_POLL_S
from services.workflow.metrics import TriggerMetrics
from shared.errors import PlatformError
from shared.ids import derived_id_at

_log = logging.getLogger(__name__)

Clock = Callable[[], dt.datetime]
# Keeps what can never be done where people look: subject, body, why.
Bury = Callable[[str, bytes, str], Awaitable[None]]


class ScheduleRow(msgspec.Struct, frozen=True):
    """A schedule that is due: it has fired up to just before `next_fire_at`."""

    tenant_id: UUID
    workflow_id: UUID
    revision: int
    key: ScheduleKey
    next_fire_at: dt.datetime

    @property
    def id(self) -> "ScheduleId":
        """What tells it from every other."""
        return self.workflow_id, self.key


ScheduleId = tuple[UUID, ScheduleKey]
# A schedule where it was seen, and where it goes; None: it comes no more.
Move = tuple[ScheduleRow, dt.datetime | None]


class _Todo(msgspec.Struct, frozen=True):
    row: ScheduleRow
    trigger: ScheduleTrigger | None
    due: Due


class ScheduleStore(Protocol):
    """Places of schedules."""

    async def due(self, now: dt.datetime, limit: int) -> Sequence[ScheduleRow]:
        """Return schedules of active workflows that are due, the longest due first."""
        ...

    async def advance(self, moves: Sequence[Move]) -> set[ScheduleId]:
        """Move schedules on, all in one commit; return those that were where their rows say, the others stay."""
        ...


_NEVER = Due([], None, skipped=False, cut=False)
# It may have been refused by another process, and comes as its code.
_GONE = frozenset({WorkflowNotActive.code, WorkflowNotFound.code})


class Scheduler:
    """Runs on one replica at a time (see `shared.tail.leader`), for efficiency: two at once are correct as well."""

    def __init__(
        self,
        store: ScheduleStore,
        programs: Programs,
        executions: Door,
        metrics: TriggerMetrics,
        bury: Bury,
        clock: Clock,
    ) -> None:
        self._store = store
        self._programs = programs
        self._executions = executions
        self._metrics = metrics
        self._bury = bury
        self._clock = clock

    async def run(self) -> None:
        """Fire what is due, until cancelled."""
        while True:
            try:
                fired = await self.fire_due()
            except PlatformError as error:
                if error.retry_after is None:
                    raise
                _log.warning("schedules wait: %s", error.message)
                fired = 0
            except OUTAGES as error:
                _log.warning("schedules wait: %s", error)
                fired = 0
            if fired < SCHEDULE_PAGE:
                await asyncio.sleep(SCHEDULE_POLL_S)

    async def fire_due(self) -> int:
        """Fire what is due now, at most a page of schedules, and return how many there were.

        Raises, once the others are fired, what says to try again later: the schedules that met it stay due.
        """
        rows = await self._store.due(self._clock(), SCHEDULE_PAGE)
        planned = [todo for row in rows if (todo := await self._plan(row)) is not None]
        ready = await self._pass_over(planned)
        ends = await asyncio.gather(*(self._run(todo) for todo in ready), return_exceptions=True)
        ended = zip(ready, ends, strict=True)
        moves: list[Move] = [(todo.row, todo.due.following) for todo, end in ended if end is None]
        if moves:
            await self._store.advance(moves)
        for end in ends:
            if end is not None:
                raise end
        return len(rows)

    async def _plan(self, row: ScheduleRow) -> _Todo | None:
        try:
            definition = (await self._programs.load(row.workflow_id, row.revision)).definition
        except PlatformError as error:
            if error.retry_after is not None:
                raise
            # Today's code cannot read the definition, nor then say when it comes again.
            await self._refused(row, row.next_fire_at, error)
            return _Todo(row, None, _NEVER)
        trigger = keyed(definition.triggers).get(row.key)
        if trigger is None:
            return None  # the workflow was revised since the row was read, and the row is gone
        await asyncio.sleep(0)  # a page of schedules takes a while to plan, and others want their turn
        try:
            planned = due(trigger, row.next_fire_at, self._clock())
        except Exception as error:  # noqa: BLE001 - a bug, or a time zone that is gone; the others are not to wait for it
            _log.exception("a schedule of the workflow %s cannot be planned and comes no more", row.workflow_id)
            await self._refused(row, row.next_fire_at, PlatformError(f"It cannot be planned: {error!r}"))
            return _Todo(row, None, _NEVER)
        return _Todo(row, trigger, planned)

    async def _pass_over(self, planned: list[_Todo]) -> list[_Todo]:
        """Return what is to be run, with those moments behind it for good that are to have no run.

        That is durable before anything starts: a crash in between makes no run of them.
        """
        moves: list[Move] = []
        for todo in planned:
            self._count_passed_over(todo)
            if todo.due.moments and todo.due.moments[0] != todo.row.next_fire_at:
                moves.append((todo.row, todo.due.moments[0]))
        if not moves:
            return planned
        moved = await self._store.advance(moves)
        firsts = {row.id: to for row, to in moves}
        ready = []
        for todo in planned:
            first = firsts.get(todo.row.id)
            if first is None:
                ready.append(todo)
            elif todo.row.id in moved:
                row = msgspec.structs.replace(todo.row, next_fire_at=first)
                ready.append(msgspec.structs.replace(todo, row=row))
        return ready

    async def _run(self, todo: _Todo) -> None:
        if todo.trigger is not None:
            for moment in todo.due.moments:
                await self._start(todo.row, todo.trigger, moment)

    async def _start(self, row: ScheduleRow, trigger: ScheduleTrigger, moment: dt.datetime) -> None:
        schedule = scope_of(row.key, moment)
        try:
            fired = fire(trigger, {"schedule": schedule, "tenant": {"id": str(row.tenant_id)}}, {})
            if fired is None:
                self._metrics.schedule_runs.labels("condition_false").inc()
                return
            await self._executions.start(
                Request(
                    derived_id_at(
                        round(moment.timestamp() * 1000), "schedule-trigger", row.tenant_id, row.workflow_id, *row.key
                    ),
                    row.tenant_id,
                    str(row.workflow_id),
                    row.revision,
                    fired.input,
                    {"schedule": schedule},
                    "schedule",
                    "service:workflow",
                    None,
                )
            )
        except PlatformError as error:
            if error.retry_after is not None:
                raise
            if error.code in _GONE:
                return  # since the row was read: there is nothing to tell anybody
            await self._refused(row, moment, error)
        else:
            self._metrics.schedule_runs.labels("started").inc()
            self._metrics.schedule_delay_seconds.observe(max(0.0, (self._clock() - moment).total_seconds()))

    async def _refused(self, row: ScheduleRow, moment: dt.datetime, error: PlatformError) -> None:
        self._metrics.schedule_runs.labels("refused").inc()
        about: dict[str, Any] = {
            "tenant_id": row.tenant_id,
            "workflow_id": row.workflow_id,
            "revision": row.revision,
            "schedule": _told(row.key, moment),
            "code": error.code,
        }
        why = f"workflow {row.workflow_id}: {error.code}: {error.message}"
        await self._bury(f"schedules.{row.tenant_id}.{row.workflow_id}", msgspec.json.encode(about), why)

    def _count_passed_over(self, todo: _Todo) -> None:
        if todo.due.skipped:
            self._metrics.schedule_moments_passed_over.labels("skipped").inc()
        if todo.due.cut:
            self._metrics.schedule_moments_passed_over.labels("cut").inc()
            _log.warning(
                "workflow %s missed more moments than it makes up for: those from %s until %s have no run",
                todo.row.workflow_id,
                rfc3339(todo.row.next_fire_at),
                rfc3339(todo.due.moments[0]),
            )


def _told(key: ScheduleKey, moment: dt.datetime) -> dict[str, Any]:
    """Return what people are told of a moment; without the time on the zone's clocks if the zone is known no more."""
    try:
        return scope_of(key, moment)
    except (ValueError, LookupError, OverflowError):
        return {"time": rfc3339(moment), "cron": key.cron, "timezone": key.timezone}
