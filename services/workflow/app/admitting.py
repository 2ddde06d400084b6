"""Gives slots that are free to who waits: at once after each end, and now and then in case something was lost."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from uuid import UUID

from services.workflow.app.admission import MAKES_ROOM, Tell, tell_all
from services.workflow.app.items import Control
from services.workflow.app.ports import OUTAGES
from services.workflow.app.slots import Found, SlotKey, Slots
from services.workflow.domain.commands import Admit, Cancel
from services.workflow.limits import (
    SLOT_KEYS_AT_ONCE,
    SLOT_KEYS_SETTLED_AT_ONCE,
    SLOTS_IDLE_PAUSE_S,
    SLOTS_LOOK_PAUSE_S,
    SLOTS_LOOK_SHARE,
    SLOTS_SWEEP_S,
)
from shared.tail.waker import Waker

_log = logging.getLogger(__name__)


class Admitting:
    """Looks after the slots of all tenants. One process of several is enough; two do no harm."""

    def __init__(self, slots: Slots, tell: Tell, waker: Waker) -> None:
        self._slots = slots
        self._tell = tell
        self._waker = waker

    async def run(self) -> None:
        """Look until cancelled: whenever public events were committed, and each `SLOTS_SWEEP_S` for what was lost."""
        clock = asyncio.get_running_loop().time
        swept_at = -SLOTS_SWEEP_S
        with self._waker.listener(facts=True) as listener:
            while True:
                began, queued, moved = clock(), False, False
                try:
                    queued = await self._slots.is_anybody_queued()
                    moved = queued and await self.look()
                    if clock() - swept_at >= SLOTS_SWEEP_S:
                        await self.sweep()
                        swept_at = clock()
                except OUTAGES as error:
                    _log.warning("slots are looked after later: %s", error)
                if not moved:
                    pause = max(SLOTS_LOOK_PAUSE_S, SLOTS_LOOK_SHARE * (clock() - began))
                    await asyncio.sleep(pause if queued else SLOTS_IDLE_PAUSE_S)
                    await listener.wait()

    async def look(self) -> bool:
        """Admit who waits for a slot that has become free; return whether there was anybody."""
        return await self._settle(await self._slots.movable(), self._slots.settle) > 0

    async def sweep(self) -> None:
        """Find what a process that died, or a message that was lost, left undone."""
        found = SLOT_KEYS_AT_ONCE
        while found == SLOT_KEYS_AT_ONCE:
            stale = await self._slots.stale()
            await self._settle(stale, self._slots.clear_out)
            found = len(stale)
        await self._tell_found(await self._slots.unadmitted(), Admit(0))
        await self._tell_found(await self._slots.leaving(), Cancel(0, MAKES_ROOM))

    async def _settle(self, keys: Sequence[SlotKey], settle: Callable[[SlotKey], Awaitable[list[UUID]]]) -> int:
        """Settle keys, tell who is admitted, and return how many are."""
        admitted = 0
        for start in range(0, len(keys), SLOT_KEYS_SETTLED_AT_ONCE):
            some = keys[start : start + SLOT_KEYS_SETTLED_AT_ONCE]
            settled = await asyncio.gather(*(settle(key) for key in some))
            pairs = zip(some, settled, strict=True)
            found = [Found(key.tenant_id, execution_id) for key, ids in pairs for execution_id in ids]
            await self._tell_found(found, Admit(0))
            admitted += len(found)
        return admitted

    async def _tell_found(self, found: Iterable[Found], command: Control) -> None:
        by_tenant: dict[UUID, list[UUID]] = defaultdict(list)
        for one in found:
            by_tenant[one.tenant_id].append(one.execution_id)
        for tenant_id, executions in by_tenant.items():
            await tell_all(self._tell, tenant_id, executions, command)
