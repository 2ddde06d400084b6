"""Slots of a worker, shared fairly: in turn over tenants that wait, within one by priority, and nobody for ever last.

A tenant with ten thousand waiting tasks gets every second slot while one other waits, every third while two do.
Within a tenant the highest priority goes first, then who came first; but each `FAIR_OLDEST_EVERY`-th grant of a tenant
goes to whoever has waited longest, so the n-th oldest of its tasks waits for at most n times so many of its grants.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from uuid import UUID

from shared.errors import Unavailable
from shared.limits import FAIR_OLDEST_EVERY, TASK_PRIORITY_MAX


class Displaced(Unavailable):
    """A task that waited was sent away to make room for one of a tenant with fewer."""


class _Waiter:
    """Somebody who waits. `waits` is false once it has left its line, for whatever reason."""

    __slots__ = ("granted", "number", "priority", "tenant", "waits")

    def __init__(self, tenant: UUID, priority: int, number: int) -> None:
        self.tenant = tenant
        self.priority = priority
        self.number = number
        self.waits = True
        self.granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class _Line:
    """One tenant's waiters by priority, each in order of arrival. Every operation looks at ten heads at most."""

    def __init__(self) -> None:
        self._ranks: tuple[OrderedDict[int, _Waiter], ...] = tuple(OrderedDict() for _ in range(TASK_PRIORITY_MAX))
        self.grants = 0
        self.length = 0

    def add(self, waiter: _Waiter) -> None:
        self._ranks[waiter.priority - 1][waiter.number] = waiter
        self.length += 1

    def remove(self, waiter: _Waiter) -> None:
        del self._ranks[waiter.priority - 1][waiter.number]
        self.length -= 1

    def following(self) -> _Waiter:
        """Return whose turn it is. The line must not be empty."""
        heads = [next(iter(rank.values())) for rank in self._ranks if rank]
        if (self.grants + 1) % FAIR_OLDEST_EVERY:
            return heads[-1]
        return min(heads, key=lambda head: head.number)

    def last(self) -> _Waiter:
        """Return who can best be spared: of the lowest priority, who came last. The line must not be empty."""
        rank = next(rank for rank in self._ranks if rank)
        return next(reversed(rank.values()))


class FairSlots:
    """So many slots, given in turn. No slot is free while somebody waits."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._numbers = count()
        self._lines: OrderedDict[UUID, _Line] = OrderedDict()  # of who waits; the first one's turn is next
        self._by_length: dict[int, OrderedDict[UUID, None]] = {}
        self._longest = 0

    @property
    def free(self) -> int:
        """How many slots nobody has."""
        return self._free

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return sum(line.length for line in self._lines.values())

    @asynccontextmanager
    async def slot(self, tenant: UUID, priority: int) -> AsyncIterator[None]:
        """Hold a slot, once it is this one's turn. `priority` is from 1 to 10, the highest. Raises `Displaced`."""
        await self._acquire(tenant, priority)
        try:
            yield
        finally:
            self._release()

    def displace(self, tenant: UUID) -> bool:
        """Send a waiter of the longest line away, unless that would leave `tenant`, who joins, no better placed.

        Return whether there is room now. The waiter gets `Displaced`.
        """
        own = self._lines.get(tenant)
        if self._longest <= (0 if own is None else own.length) + 1:
            return False
        longest = next(iter(self._by_length[self._longest]))
        waiter = self._lines[longest].last()
        self._leave(waiter)
        if not waiter.granted.done():
            waiter.granted.set_exception(Displaced("The worker has too many tasks already, most of this tenant."))
        return True

    async def _acquire(self, tenant: UUID, priority: int) -> None:
        if self._free:
            self._free -= 1
            return
        waiter = _Waiter(tenant, priority, next(self._numbers))
        self._join(waiter)
        try:
            await waiter.granted
        except (asyncio.CancelledError, GeneratorExit):
            if waiter.waits:
                self._leave(waiter)
            elif not waiter.granted.cancelled() and waiter.granted.exception() is None:
                self._release()  # it was given a slot, and cancelled before it knew
            raise

    def _release(self) -> None:
        while self._lines:
            tenant, line = next(iter(self._lines.items()))
            waiter = line.following()
            self._leave(waiter)
            if waiter.granted.done():
                continue  # it was cancelled, and has not run since; its tenant keeps its turn
            line.grants += 1
            if line.length:
                self._lines.move_to_end(tenant)
            waiter.granted.set_result(None)
            return
        self._free += 1

    def _join(self, waiter: _Waiter) -> None:
        line = self._lines.get(waiter.tenant)
        if line is None:
            line = self._lines[waiter.tenant] = _Line()
        line.add(waiter)
        self._measure(waiter.tenant, line.length - 1, line.length)

    def _leave(self, waiter: _Waiter) -> None:
        waiter.waits = False
        line = self._lines[waiter.tenant]
        line.remove(waiter)
        if not line.length:
            del self._lines[waiter.tenant]
        self._measure(waiter.tenant, line.length + 1, line.length)

    def _measure(self, tenant: UUID, before: int, after: int) -> None:
        """Keep the tenants by the length of their lines, which changed by one."""
        if after:
            self._by_length.setdefault(after, OrderedDict())[tenant] = None
        if before:
            same = self._by_length[before]
            del same[tenant]
            if not same:
                del self._by_length[before]
        if after > self._longest or (before == self._longest and before not in self._by_length):
            self._longest = after
