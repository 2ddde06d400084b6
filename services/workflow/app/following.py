"""Which executions this process follows: it takes them up with their partitions, and asks the log what it missed."""

import asyncio
import logging
from collections.abc import Callable, Container
from uuid import UUID

from services.workflow.app.family import Orphan, needs
from services.workflow.app.held import Held
from services.workflow.app.items import Item
from services.workflow.app.ports import OUTAGES, TransitionStore
from services.workflow.app.recovery import adopt_open_executions, adopt_page, behind, load_each, take_up_anew
from services.workflow.app.states import States
from services.workflow.app.tracking import Tracking
from services.workflow.limits import LOOK_AFTER_TAKING_MS, RECOVERY_PAGE, SWEEP_S, TAKE_UP_EVERY_MS

_log = logging.getLogger(__name__)


class Following:
    """Goes a page at a time, so that the engine decides in between. `now` is in Unix milliseconds."""

    def __init__(
        self, store: TransitionStore, states: States, tracking: Tracking, held: Held, now: Callable[[], int]
    ) -> None:
        self._store = store
        self._states = states
        self._tracking = tracking
        self._held = held
        self._now = now
        self._doubted: list[UUID] = []
        """Followed executions that are still to be held against the log."""
        self.look_again_at = now() + TAKE_UP_EVERY_MS

    @property
    def has_more(self) -> bool:
        """Whether there is a page to go on with."""
        return bool(self._held.adoptions or self._doubted)

    async def next_page(self, writing: Container[UUID]) -> list[Item]:
        """Go on by a page; return what came for partitions that are decided from now on.

        Raises `OUTAGES`. `writing` are executions of which the log may show what is not settled here yet.
        """
        if self._held.adoptions:
            return await self._adopt()
        await self._catch_up(writing)
        return []

    async def look_again(self) -> None:
        """Take up what another process began and no longer follows: one that was still writing when it was replaced.

        And begin to doubt what is followed. Raises `OUTAGES`.
        """
        self.look_again_at = self._now() + TAKE_UP_EVERY_MS
        self._doubted = list(self._tracking.open)
        await adopt_open_executions(self._store, self._states, self._tracking, sorted(self._held.open))

    async def start_over(self) -> None:
        """Forget everything, and return once it is taken up from the log."""
        while True:
            self._states.clear()
            self._tracking.clear()
            self._held.start_over()
            try:
                await adopt_open_executions(self._store, self._states, self._tracking, sorted(self._held.open))
            except OUTAGES as error:
                _log.warning("the engine waits for the event store: %s", error)
                await asyncio.sleep(SWEEP_S)
            else:
                self.look_again_at = self._now() + TAKE_UP_EVERY_MS
                return

    async def orphans(self) -> list[Orphan]:
        """Return the open children of this process whose parents no longer need them, as is recorded."""
        children = {id_: known.parent for id_, known in self._tracking.open.items() if known.parent is not None}
        # What is kept may be ahead of the log, so it only says of which children the log is asked.
        for load in (self._states.load, self._states.load_recorded):
            parents = await load_each(load, list({parent.execution_id for parent in children.values()}))
            children = {
                id_: parent
                for id_, parent in children.items()
                if parent.execution_id in parents and not needs(parents[parent.execution_id], parent)
            }
        states = await load_each(self._states.load, list(children))
        return [Orphan(s.id, s.tenant_id, "its parent no longer needs it") for s in states.values() if s is not None]

    async def _adopt(self) -> list[Item]:
        adoption = self._held.adoptions[0]
        after = await adopt_page(
            self._store, self._states, self._tracking, adoption.partitions, adoption.after, adoption.heard_at
        )
        if after is not None and adoption.partitions:
            adoption.after = after
            return []
        self.look_again_at = min(self.look_again_at, self._now() + LOOK_AFTER_TAKING_MS)
        return self._held.settle(adoption)

    async def _catch_up(self, writing: Container[UUID]) -> None:
        """Hold a page of what is followed against the log: what another process wrote is not heard of here."""
        page = self._doubted[-RECOVERY_PAGE:]
        del self._doubted[-RECOVERY_PAGE:]
        stale = await behind(self._store, self._tracking, page)
        # What is being written may be in the log already, and be settled in a moment.
        await take_up_anew(self._states, self._tracking, [i for i in stale if i not in writing])
