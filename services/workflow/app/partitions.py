"""Keeps this process's share of the partitions: renews its lease, takes what is free, gives what others lack.

Correctness does not hang on it: `unique (stream_id, version)` lets one writer win whoever believes to own what. It is
there so that each execution is decided by one process, which has it in memory, and dispatched once.
"""

import asyncio
import logging
import time
from collections.abc import Collection
from uuid import UUID

from services.workflow.app.engine import Engine
from services.workflow.app.ports import OUTAGES, Claimed, Leases, Owners, Routes
from services.workflow.app.shares import next_move
from services.workflow.errors import EngineBusy
from services.workflow.limits import (
    LEASE_MARGIN_S,
    LEASE_S,
    LEAVE_S,
    MOVED_AT_ONCE,
    RENEW_MIN_S,
    RENEW_S,
    RETRY_RENEWAL_S,
    STEADY_S,
)
from services.workflow.metrics import EngineMetrics

_log = logging.getLogger(__name__)


class Partitions:
    """Runs the engine on the partitions that it owns."""

    def __init__(
        self,
        engine_id: UUID,
        leases: Leases,
        routes: Routes,
        engine: Engine,
        stopping: asyncio.Event,
        metrics: EngineMetrics,
    ) -> None:
        self._id = engine_id
        self._leases = leases
        self._routes = routes
        self._engine = engine
        self._stopping = stopping
        self._metrics = metrics
        self._held: set[int] = set()
        self._lost: set[int] = set()
        self._owners = Owners([engine_id], {})
        self._agreeing = asyncio.Lock()
        """Held while the leases are asked and what they say is taken note of: one answer must not overtake another."""
        self._look = asyncio.Event()
        self._changed = asyncio.Event()
        self._ready = asyncio.Event()
        self._away = False
        self._joined = False
        self._left = False
        self._steady_at = 0.0

    def look(self) -> None:
        """Look at the leases now: another process says that there is something to see."""
        self._look.set()

    async def check_ready(self) -> None:
        """Raise unless what there was for this process to take was taken."""
        if not self._ready.is_set():
            raise EngineBusy("The engine is still taking up open executions.", retry_after=1)

    async def run(self) -> None:
        """Run until cancelled, then let the engine end and give everything back."""
        parts = (self._engine.run(), self._renew(), self._move(), self._hear_of_stop())
        work = [asyncio.create_task(part) for part in parts]
        try:
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await self._leave()

    async def _renew(self) -> None:
        while not self._left:
            began = time.monotonic()
            async with self._agreeing:
                await self._renew_once(began)
            self._changed.set()
            await asyncio.sleep(RENEW_MIN_S)
            try:
                async with asyncio.timeout(RETRY_RENEWAL_S if self._away else RENEW_S):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()

    async def _renew_once(self, began: float) -> None:
        if self._left:
            return
        try:
            self._owners = await self._leases.renew()
        except OUTAGES as error:
            self._away, self._joined = True, False
            _log.warning("the lease of this process's partitions cannot be renewed: %s", error)
            return
        if self._away:  # the others were cut off as well, and need a moment to be back
            self._away, self._steady_at = False, time.monotonic() + STEADY_S
        lost = {partition for partition in self._held if self._owners.by_partition.get(partition) != self._id}
        if lost:
            _log.warning("another process took the partitions %s", sorted(lost))
            self._held -= lost
            self._lost |= lost
            self._engine.close(lost)
            self._count("lost", lost)
        self._follow()
        if not self._joined:
            self._joined = True
            self._routes.tell()
        # After what was lost is closed: a lease that had lapsed may be valid again for what was not.
        self._engine.may_act_until(began + LEASE_S - LEASE_MARGIN_S)

    async def _move(self) -> None:
        while not self._left:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._move_once()
            except OUTAGES as error:
                _log.warning("partitions move later: %s", error)

    async def _move_once(self) -> None:
        if self._lost:
            lost, self._lost = self._lost, set()
            await self._stop_deciding(lost)
            self._follow()
        if self._away:
            return
        if self._stopping.is_set():
            if len(self._owners.living) > 1:  # alone, it goes on to the end of what was taken from the bus
                await self._stop_deciding(self._held)
                await self._leave()
            return
        move = next_move(self._owners, self._id, self._held)
        if move.give:
            await self._give(move.give)
        elif move.take and time.monotonic() >= self._steady_at:
            await self._take(move.take)
        self._ready.set()

    async def _take(self, partitions: list[int]) -> None:
        began = time.monotonic()
        async with self._agreeing:
            claimed = await self._leases.claim(partitions)
            taken = {claim.partition for claim in claimed}
            self._held |= taken
            self._owners.by_partition.update(dict.fromkeys(taken, self._id))
            adoptions = [
                self._engine.adopt({claim.partition for claim in some}, handed=some[0].handed)
                for some in _a_few_at_once(claimed)
            ]
        if not taken:
            return
        self._count("taken", taken)
        self._follow()
        await self._routes.open(taken)
        for adoption in adoptions:
            await adoption
            self._metrics.adoption_seconds.observe(time.monotonic() - began)
        _log.info("took the partitions %s", sorted(taken))
        self._routes.tell(taken)

    async def _give(self, partitions: list[int]) -> None:
        await self._stop_deciding(partitions)
        async with self._agreeing:
            self._held -= set(partitions)
            for partition in partitions:
                self._owners.by_partition.pop(partition, None)
            await self._leases.release(partitions)
        self._count("given", partitions)
        _log.info("gave the partitions %s", partitions)
        self._routes.tell()

    async def _stop_deciding(self, partitions: Collection[int]) -> None:
        gone = set(partitions)
        self._routes.close(gone)
        await self._engine.drop(gone)

    async def _leave(self) -> None:
        if self._left:
            return
        self._left = True
        left: set[int] = set()
        try:
            async with asyncio.timeout(LEAVE_S), self._agreeing:
                left, self._held = self._held, set()
                await self._leases.leave()
        except OUTAGES as error:  # a timeout is one
            _log.warning("the partitions were not given back and are taken over: %r", error)
        self._count("left", left)
        self._routes.tell()

    async def _hear_of_stop(self) -> None:
        await self._stopping.wait()
        self._changed.set()
        await asyncio.Event().wait()

    def _follow(self) -> None:
        self._routes.follow(self._owners.by_partition)

    def _count(self, direction: str, partitions: Collection[int]) -> None:
        self._metrics.partition_moves.labels(direction).inc(len(partitions))
        self._metrics.partitions.set(len(self._held))
        for partition in partitions:
            self._metrics.partition.labels(partition).set(partition in self._held)


def _a_few_at_once(claimed: list[Claimed]) -> list[list[Claimed]]:
    """Split into groups that are taken up one after the other, each going on as soon as it is taken up."""
    groups: list[list[Claimed]] = []
    for handed in (True, False):
        alike = [claim for claim in claimed if claim.handed == handed]
        groups += [alike[place : place + MOVED_AT_ONCE] for place in range(0, len(alike), MOVED_AT_ONCE)]
    return groups
