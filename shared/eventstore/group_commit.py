"""Group commit without a timer: whatever queued up during the last commit is written in the next one.

Under load a commit carries hundreds of appends and the disk is flushed once for all of them; alone, an append waits for
nothing. A unit that loses a race for its stream, or that the store cannot take, is refused by itself; the others of its
batch are written.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from shared.errors import Unavailable
from shared.eventstore.errors import ConcurrentAppend
from shared.eventstore.event import NewEvent
from shared.eventstore.ports import EventLog
from shared.limits import EVENT_STORE_MAX_BATCH, EVENT_STORE_MAX_QUEUED


class Versions(Protocol):
    """Knows how far streams have come; every `EventLog` does."""

    async def versions(self, stream_ids: Sequence[UUID]) -> Mapping[UUID, int]:
        """Return the last version of each stream that exists."""
        ...


class Unit(Protocol):
    """What is written or refused as one."""

    @property
    def events(self) -> Sequence[NewEvent]:
        """Its events, of one stream or several."""
        ...


U = TypeVar("U", bound=Unit)


async def commit_units(
    log: Versions, commit: Callable[[Sequence[U]], Awaitable[int]], units: Sequence[U]
) -> tuple[int, list[U]]:
    """Write the units in one commit; return the last position and the units that lost their stream to another writer.

    Only when the whole batch is refused are the versions looked up, the losers set aside and the rest written again.
    """
    lost: list[U] = []
    rest = list(units)
    while rest:
        try:
            return await commit(rest), lost
        except ConcurrentAppend:
            taken = await log.versions(list({e.stream_id for u in rest for e in u.events}))
            keep, late = _set_late_aside(rest, dict(taken))
            lost += late
            if len(keep) == len(rest):
                raise
            rest = keep
    return 0, lost


def _set_late_aside(units: Sequence[U], taken: dict[UUID, int]) -> tuple[list[U], list[U]]:
    """Split the units by whether each event's version is still free, counting the units before it as written.

    Once a unit is late for a stream, so is every later unit of that stream: it was decided on what was never written.
    """
    keep: list[U] = []
    late: list[U] = []
    spoiled: set[UUID] = set()
    for unit in units:
        reached = dict(taken)
        for event in unit.events:
            if event.version <= reached.get(event.stream_id, 0) or event.stream_id in spoiled:
                spoiled.update(e.stream_id for e in unit.events)
                late.append(unit)
                break
            reached[event.stream_id] = event.version
        else:
            taken = reached
            keep.append(unit)
    return keep, late


def _blames_nobody(_: Exception) -> bool:
    return False


class GroupCommit(Generic[U]):
    """Many callers, one writer. `append` returns when the unit is on disk.

    `blames_a_unit` tells an error that is about what was written from one that is about the store, such as an outage.
    After the first kind the units of the batch are written one by one; the second kind is everybody's.
    """

    def __init__(
        self,
        log: EventLog,
        commit: Callable[[Sequence[U]], Awaitable[int]],
        *,
        blames_a_unit: Callable[[Exception], bool] = _blames_nobody,
    ) -> None:
        self._log = log
        self._commit = commit
        self._blames_a_unit = blames_a_unit
        self._queue: list[tuple[U, asyncio.Future[int]]] = []
        self._apart: list[tuple[U, asyncio.Future[int]]] = []  # of a batch that one of them spoiled; before the queue
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def start(self) -> None:
        """Start the writer."""
        self._task = asyncio.create_task(self._run(), name="group-commit")

    async def append(self, unit: U) -> int:
        """Write a unit; return the position of the last event of its commit.

        Raises `ConcurrentAppend` if another writer was first or a unit of the same stream that was queued before it
        was not written; `Unavailable` if too much is waiting already, or after `close`.
        """
        if self._closing:
            raise Unavailable("The event store's writer has stopped.", retry_after=1)
        if len(self._queue) >= EVENT_STORE_MAX_QUEUED:
            raise Unavailable("The event store is behind by too many writes.", retry_after=1)
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._queue.append((unit, done))
        self._wake.set()
        return await done

    async def close(self) -> None:
        """Write what is queued, then stop."""
        if self._task is None:
            return
        self._closing = True
        self._wake.set()
        await self._task

    async def _run(self) -> None:
        while not self._closing:
            await self._wake.wait()
            self._wake.clear()
            while self._apart or self._queue:
                source, size = (self._apart, 1) if self._apart else (self._queue, EVENT_STORE_MAX_BATCH)
                batch = source[:size]
                del source[:size]
                await self._write(batch)

    async def _write(self, batch: list[tuple[U, asyncio.Future[int]]]) -> None:
        try:
            position, lost = await commit_units(self._log, self._commit, [unit for unit, _ in batch])
        except Exception as error:  # noqa: BLE001 — every caller gets it; the writer goes on with the next batch
            if len(batch) > 1 and self._blames_a_unit(error):
                self._apart = batch
                return
            for _, done in batch:
                if not done.done():
                    done.set_exception(error)
            self._refuse_behind([unit for unit, _ in batch])
            return
        self._refuse_behind(lost)
        refused = {id(unit) for unit in lost}
        for unit, done in batch:
            if done.done():
                continue
            if id(unit) in refused:
                done.set_exception(ConcurrentAppend(frozenset(e.stream_id for e in unit.events)))
            else:
                done.set_result(position)

    def _refuse_behind(self, unwritten: Sequence[U]) -> None:
        """Refuse what waits for the streams of units that were not written: it may have been decided on them.

        Its version may be free all the same, taken up to just there by another writer.
        """
        spoiled = {e.stream_id for unit in unwritten for e in unit.events}
        if spoiled:
            self._apart = _refuse(self._apart, spoiled)
            self._queue = _refuse(self._queue, spoiled)


def _refuse(waiting: list[tuple[U, asyncio.Future[int]]], spoiled: set[UUID]) -> list[tuple[U, asyncio.Future[int]]]:
    """Refuse the units of spoiled streams, whose other streams are then spoiled too; return the rest."""
    kept = []
    for unit, done in waiting:
        streams = {e.stream_id for e in unit.events}
        if spoiled.isdisjoint(streams):
            kept.append((unit, done))
            continue
        spoiled |= streams
        if not done.done():
            done.set_exception(ConcurrentAppend(frozenset(streams)))
    return kept
