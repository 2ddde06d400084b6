"""The door for workflows with a concurrency key: a slot is taken before an execution begins."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from uuid import UUID

from services.workflow.app.engine import Engine
from services.workflow.app.items import Accepted, Control, ControlItem, StartItem
from services.workflow.app.ports import OUTAGES, Programs
from services.workflow.app.slots import Slots, SlotTaken, SlotWanted
from services.workflow.domain.commands import Admit, Cancel
from services.workflow.domain.events import EXECUTION_EVENTS, ExecutionStarted
from services.workflow.domain.language.concurrency import ConcurrencyRule
from services.workflow.domain.scope import opening_scope
from services.workflow.errors import ConcurrencyLimit, ConcurrencyQueueFull, EngineBusy
from services.workflow.limits import SLOT_START_S
from shared.errors import PlatformError
from shared.eventstore.ports import EventReader
from shared.scope import TenantScope

_log = logging.getLogger(__name__)
ACTOR = "service:workflow"
_LATER: tuple[type[Exception], ...] = (PlatformError, *OUTAGES)
MAKES_ROOM = "a newer execution takes its place"

Tell = Callable[[UUID, UUID, Control, str], Awaitable[Accepted]]
"""Tells the execution of this id and tenant something in the name of an actor."""


async def tell_all(tell: Tell, tenant_id: UUID, executions: Iterable[UUID], command: Control) -> None:
    """Tell executions something at once. What does not work now is found again by who looks after the slots."""
    await asyncio.gather(*(_tell(tell, tenant_id, execution_id, command) for execution_id in executions))


async def _tell(tell: Tell, tenant_id: UUID, execution_id: UUID, command: Control) -> None:
    try:
        await tell(execution_id, tenant_id, command, ACTOR)
    except _LATER as error:
        _log.info("the execution %s is told again later: %s", execution_id, error)
    except Exception:  # noqa: BLE001 - a bug in one execution, which the others of all tenants do not wait for
        _log.exception("the execution %s could not be told: %s", execution_id, command)


class Admission:
    """Takes slots for what is to begin. `tell` reaches any execution, whoever runs it."""

    def __init__(self, slots: Slots, engine: Engine, programs: Programs, reader: EventReader) -> None:
        self._slots = slots
        self._engine = engine
        self._programs = programs
        self._reader = reader

    async def start(self, rule: ConcurrencyRule, item: StartItem, tell: Tell) -> Accepted:
        """Start an execution, or queue it; return once that is durable.

        Raises `ConcurrencyKeyInvalid`, `ConcurrencyLimit` and `ConcurrencyQueueFull` as well as what the engine does.
        """
        key = rule.key_for(opening_scope(item.execution_id, item.tenant_id, item.input, item.context))
        # A fork that waited would have forgotten what it took over.
        when_full = "reject" if item.forked_from is not None and rule.when_full == "queue" else rule.when_full
        wanted = SlotWanted(
            item.tenant_id, item.workflow_id, key, item.execution_id, rule.limit, when_full, item.priority
        )
        taken = await self._take(wanted, tell)
        item.queued = taken.outcome == "queued"
        accepted = await self._begin(item.execution_id, self._engine.start(item))
        await tell_all(tell, item.tenant_id, taken.leaving, Cancel(0, MAKES_ROOM))
        return accepted

    async def retry(self, item: ControlItem, tell: Tell) -> Accepted:
        """Let an execution that ended go on if there is a slot for it. It does not wait for one.

        Raises `ConcurrencyLimit` as well as what the engine does.
        """
        if not await self._take_again(item.execution_id, item.tenant_id, tell):
            return await self._engine.control(item)
        return await self._begin(item.execution_id, self._engine.control(item))

    async def _take_again(self, execution_id: UUID, tenant_id: UUID, tell: Tell) -> bool:
        """Take a slot for an execution that ended, if its workflow has a concurrency key; return whether it does."""
        first = await self._reader.read_stream(TenantScope(tenant_id, ACTOR), execution_id, limit=1)
        if not first:
            return False
        started = EXECUTION_EVENTS.decode(first[0].type, first[0].data)
        if not isinstance(started, ExecutionStarted):
            return False
        program = await self._programs.load(started.workflow_id, started.revision)
        rule = program.concurrency
        if rule is None:
            return False
        key = rule.key_for(opening_scope(execution_id, tenant_id, started.input, started.context))
        wanted = SlotWanted(
            tenant_id, started.workflow_id, key, execution_id, rule.limit, "reject", started.priority, again=True
        )
        await self._take(wanted, tell)
        return True

    async def _take(self, wanted: SlotWanted, tell: Tell) -> SlotTaken:
        taken = await self._slots.take(wanted)
        if taken.admitted:
            await tell_all(tell, wanted.tenant_id, taken.admitted, Admit(0))
        if taken.outcome == "full":
            raise ConcurrencyLimit(wanted.key, wanted.limit)
        if taken.outcome == "queue_full":
            raise ConcurrencyQueueFull(wanted.key)
        return taken

    async def _begin(self, execution_id: UUID, beginning: Awaitable[Accepted]) -> Accepted:
        """Wait until it is durable, but not for longer than its slot is kept for it."""
        try:
            async with asyncio.timeout(SLOT_START_S):
                return await beginning
        except TimeoutError as error:
            raise EngineBusy("The engine is behind: the execution has not begun.", retry_after=1) from error
        except PlatformError as error:
            if error.retry_after is None:  # else it is asked for again, and finds its slot
                try:
                    await self._slots.give_back(execution_id)
                except OUTAGES as away:
                    _log.warning("the slot of %s is given on later: %s", execution_id, away)
            raise
