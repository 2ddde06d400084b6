"""Read models that follow the log: rows and checkpoint in one transaction, and a rebuild beside the live one."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import msgspec

from shared.db.pool import Connection
from shared.db.queries import load_queries
from shared.eventstore.event import LogPage, RecordedEvent
from shared.eventstore.ports import EventLog
from shared.limits import PROJECTION_BATCH, PROJECTION_CHECKPOINT_S, PROJECTION_INTERVAL_S
from shared.tail.waker import Waker

_sql = load_queries(Path(__file__).parent.parent / "eventstore" / "sql" / "events.sql")


class Projection(Protocol):
    """A read model. `apply` must give the same rows for the same events, whatever the batches.

    `of_facts` says that all of its `types` are public: it is then not woken by commits without one.
    """

    name: str
    types: Sequence[str]
    of_facts: bool

    async def apply(self, connection: Connection, events: Sequence[RecordedEvent]) -> None:
        """Change the rows for these events, in order, in the transaction that also moves the checkpoint."""
        ...

    async def clear(self, connection: Connection) -> None:
        """Remove every row, in the transaction of a rebuild."""
        ...

    async def digest(self, connection: Connection) -> str:
        """Return a hash over all rows, so that a rebuilt model can be held against the live one.

        It is the same in whatever order the rows lie, and takes no memory for each.
        """
        ...


class ProjectionRunner:
    """Follows the log for one projection. Runs on one replica at a time (see `shared.tail.leader`)."""

    def __init__(self, projection: Projection, log: EventLog, pool: "asyncpg.Pool[Any]", waker: Waker) -> None:
        self._projection = projection
        self._log = log
        self._pool = pool
        self._waker = waker
        self.position = 0
        self._saved = 0
        self._saved_at = 0.0

    async def run(self) -> None:
        """Project until cancelled."""
        self.position = self._saved = await self._log.read_checkpoint(self._projection.name)
        with self._waker.listener(facts=self._projection.of_facts) as listener:
            while True:
                page = await self._advance()
                if page is None:
                    await listener.wait()
                elif not page.more:
                    await asyncio.sleep(PROJECTION_INTERVAL_S)  # a commit a batch, not one behind each of the log's

    async def _advance(self) -> LogPage | None:
        """Project a page and return it, None if there was nothing behind the last one."""
        page = await self._log.read_page(self.position, PROJECTION_BATCH, self._projection.types)
        if page.upto == self.position == self._saved:
            return None
        now = asyncio.get_running_loop().time()
        unwanted = page.upto > self.position and not page.events
        if unwanted and now - self._saved_at < PROJECTION_CHECKPOINT_S:
            # A commit each time would cost more than the model; once it is quiet there is one.
            self.position = page.upto
            return page
        async with self._pool.acquire() as connection, connection.transaction():
            # The checkpoint is locked before the rows, as a rebuild does: neither waits for what the other holds.
            stands_at = await connection.fetchval(_sql.lock_checkpoint, self._projection.name)
            if stands_at != self._saved:
                self.position = self._saved = stands_at
                return page
            if page.events:
                await self._projection.apply(connection, page.events)
            await connection.execute(_sql.save_checkpoint, self._projection.name, page.upto)
        self.position = self._saved = page.upto
        self._saved_at = now
        return page


class Rebuilt(msgspec.Struct, frozen=True):
    """A read model was built anew from `events` events; the digests say whether that changed it."""

    name: str
    events: int
    digest_before: str
    digest_after: str


async def rebuild(projection: Projection, log: EventLog, pool: "asyncpg.Pool[Any]") -> Rebuilt:
    """Build the read model anew from the first event and swap it in.

    All in one transaction: readers see the old rows until the new ones are complete, and an error changes nothing. The
    live projection waits for it, and goes on after the event up to which it was built.
    """
    async with pool.acquire() as connection, connection.transaction():
        upto = await connection.fetchval(_sql.lock_checkpoint, projection.name)
        before = await projection.digest(connection)
        await projection.clear(connection)
        position = events = 0
        while position < upto:
            page = await log.read_page(position, min(PROJECTION_BATCH, upto - position), projection.types)
            if page.events:
                await projection.apply(connection, page.events)
            events += len(page.events)
            position = page.upto
        return Rebuilt(projection.name, events, before, await projection.digest(connection))
