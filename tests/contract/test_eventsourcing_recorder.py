"""The event store on Postgres passes the tests that the eventsourcing library holds against its own recorders."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import pytest
from eventsourcing.persistence import (
    ApplicationRecorder,
    IntegrityError,
    ListenNotifySubscription,
    Notification,
    StoredEvent,
    Subscription,
)
from eventsourcing.tests import persistence

from shared.db.pool import open_pool
from shared.eventstore.errors import ConcurrentAppend
from shared.eventstore.event import NewEvent, RecordedEvent
from shared.eventstore.postgres import PostgresEventLog
from tests.conftest import Backbone

SERVICE = "agent"  # any service: every schema has the same event store
TENANT = UUID(int=1)

T = TypeVar("T")


class LoopInThread:
    """An event loop that synchronous tests, of many threads, can call into."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(60)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def as_uuid(stream_id: UUID | str) -> UUID:
    return stream_id if isinstance(stream_id, UUID) else UUID(stream_id)


def notified(event: RecordedEvent) -> Notification:
    return Notification(event.stream_id, event.version - 1, event.type, event.data, id=event.position)


class Recorder(ApplicationRecorder):
    """`PostgresEventLog` as the library sees a recorder. Its tests count versions from 0 as well, our log from 1."""

    def __init__(self, log: PostgresEventLog, loop: LoopInThread) -> None:
        self._log = log
        self._loop = loop
        self._listeners: set[threading.Event] = set()

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int]:
        new = [
            NewEvent(TENANT, as_uuid(e.originator_id), e.originator_version + 1, e.topic, e.state, b"{}")
            for e in stored_events
        ]
        try:
            last = self._loop.run(self._log.append(new))
        except ConcurrentAppend as error:
            raise IntegrityError(str(error)) from error
        for listener in tuple(self._listeners):
            listener.set()
        return list(range(last - len(new) + 1, last + 1))

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        stream_id = as_uuid(originator_id)
        found = self._loop.run(self._log.read_streams([stream_id]))[stream_id]
        chosen = [
            StoredEvent(e.stream_id, e.version - 1, e.type, e.data)
            for e in found
            if (gt is None or e.version - 1 > gt) and (lte is None or e.version - 1 <= lte)
        ]
        return (chosen[::-1] if desc else chosen)[:limit]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        after = (start or 0) - (1 if inclusive_of_start and start else 0)
        chosen: list[Notification] = []
        # A page is a stretch of positions, the library's limit is a number of events.
        while len(chosen) < limit:
            page = self._loop.run(self._log.read_page(after, limit, topics))
            if page.upto <= after:
                break
            chosen += [notified(e) for e in page.events if stop is None or e.position <= stop]
            after = page.upto
        return chosen[:limit]

    def max_notification_id(self) -> int | None:
        return self._loop.run(self._log.last_position()) or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        return Listening(self, gt, topics)

    def listen(self, event: threading.Event) -> None:
        self._listeners.add(event)

    def unlisten(self, event: threading.Event) -> None:
        self._listeners.discard(event)


class Listening(ListenNotifySubscription[Recorder]):
    def __init__(self, recorder: Recorder, gt: int | None, topics: Sequence[str]) -> None:
        super().__init__(recorder, gt, topics)
        recorder.listen(self._has_been_notified)

    def stop(self) -> None:
        super().stop()
        self._recorder.unlisten(self._has_been_notified)


class TestPostgresEventLogAsRecorder(persistence.ApplicationRecorderTestCase[Recorder]):
    # The log's lock lets one append at a time take positions, so only a refused one leaves a gap. None is refused
    # before a position is looked at here.
    EXPECT_CONTIGUOUS_NOTIFICATION_IDS = True

    @pytest.fixture(autouse=True)
    def _log(self, backbone: Backbone) -> Iterator[None]:
        self._loop = LoopInThread()
        self._loop.run(_empty(backbone.admin_dsn))
        pool = self._loop.run(open_pool(backbone.working_dsn(SERVICE), size=8, name="recorder-test"))
        self._recorder = Recorder(PostgresEventLog(pool), self._loop)
        yield
        self._loop.run(pool.close())
        self._loop.close()

    def create_recorder(self) -> Recorder:
        return self._recorder


async def _empty(admin_dsn: str) -> None:
    admin = await asyncpg.connect(admin_dsn)
    await admin.execute(f"TRUNCATE {SERVICE}.events, {SERVICE}.snapshots RESTART IDENTITY")
    await admin.close()
