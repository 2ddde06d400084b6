"""An engine on a log in memory: what it writes, what it sends, and a hand on the time that a commit takes."""

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Self, cast
from uuid import UUID

from prometheus_client import CollectorRegistry

from services.workflow.app.admission import Admission
from services.workflow.app.engine import Engine
from services.workflow.app.family import Orphan
from services.workflow.app.items import Accepted, Control, ControlItem, StartItem
from services.workflow.app.ports import Resolved, StatusRow, Transition
from services.workflow.app.recording import Recorder
from services.workflow.app.states import States
from services.workflow.app.tracking import Tracking
from services.workflow.domain import commands as c
from services.workflow.domain.events import EXECUTION_EVENTS
from services.workflow.domain.language.program import Program
from services.workflow.errors import StoreAway
from services.workflow.metrics import EngineMetrics
from shared.bus.tasks import PARTITIONS, Task, TaskResult, partition_of
from shared.eventstore.catalogue import DomainEvent
from shared.eventstore.event import RecordedEvent, Snapshot
from shared.eventstore.group_commit import commit_units
from shared.eventstore.memory import InMemoryEventLog
from shared.ids import new_id
from shared.tail.waker import Waker
from tests.unit.workflow_engine.scenario import TENANT, WORKFLOW

PATIENCE_S = 10.0
NO_ADMISSION = cast("Admission", None)
"""For programs without a concurrency key, which ask for none."""
LEASE_S = 3600.0


class Store:
    """`TransitionStore` in memory. `open` is the gate that commits pass; `away` makes them fail."""

    def __init__(self) -> None:
        self.log = InMemoryEventLog()
        self.rows: dict[UUID, StatusRow] = {}
        self.commits: list[list[UUID]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.away = False
        self.unreadable: set[UUID] = set()

    async def record(self, transitions: Sequence[Transition]) -> tuple[int, list[Transition]]:
        self.commits.append([t.events[0].stream_id for t in transitions])
        await self.open.wait()
        self._reached()

        async def commit(units: Sequence[Transition]) -> int:
            position = await self.log.append([event for unit in units for event in unit.events])
            for unit in units:
                if unit.row is not None:
                    self.rows[unit.row.id] = unit.row
            return position

        return await commit_units(self.log, commit, transitions)

    async def read_streams(self, stream_ids: Sequence[UUID]) -> Mapping[UUID, list[RecordedEvent]]:
        self._reached()
        if self.unreadable.intersection(stream_ids):
            raise ValueError("an event that this code does not know")
        return await self.log.read_streams(stream_ids)

    async def load_snapshots(self, stream_ids: Sequence[UUID]) -> Mapping[UUID, Snapshot]:
        self._reached()
        return await self.log.load_snapshots(stream_ids)

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        await self.log.save_snapshot(snapshot)

    async def open_executions(self, partitions: Sequence[int], after: UUID, limit: int) -> list[UUID]:
        self._reached()
        mine = {i: row for i, row in self.rows.items() if partition_of(i) in partitions and i > after}
        return sorted(i for i, row in mine.items() if row.completed_at is None)[:limit]

    async def archived(self, ids: Sequence[UUID]) -> Mapping[UUID, StatusRow]:
        return {}

    async def events(self, execution_id: UUID) -> list[DomainEvent]:
        recorded = (await self.log.read_streams([execution_id]))[execution_id]
        return [EXECUTION_EVENTS.decode(event.type, event.data) for event in recorded]

    def _reached(self) -> None:
        if self.away:
            raise StoreAway("The event store does not answer.", retry_after=1)


class Programs:
    """One program, for every workflow."""

    def __init__(self, program: Program) -> None:
        self.program: Program | Exception = program

    async def load(self, workflow_id: UUID, revision: int) -> Program:
        if isinstance(self.program, Exception):
            raise self.program
        return self.program

    async def resolve(self, tenant_id: UUID, workflow: str) -> Resolved:
        return Resolved(WORKFLOW, 1)


class Sent:
    """`Dispatch` that keeps what it is given."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.ends: list[TaskResult] = []
        self.orphans: list[Orphan] = []

    async def send(self, tasks: Sequence[tuple[str, Task]]) -> None:
        self.tasks += [task for _, task in tasks]

    async def tell_family(self, ends: Sequence[TaskResult], orphans: Sequence[Orphan]) -> None:
        self.ends += ends
        self.orphans += orphans


class Elsewhere:
    """`Routes` that keeps what is for other processes."""

    def __init__(self) -> None:
        self.results: list[TaskResult] = []
        self.opened: set[int] = set()
        self.told = 0

    async def open(self, partitions: Collection[int]) -> None:
        self.opened |= set(partitions)

    def close(self, partitions: Collection[int]) -> None:
        self.opened -= set(partitions)

    def follow(self, owners: Mapping[int, UUID]) -> None:
        pass

    def forward(self, results: Sequence[TaskResult]) -> None:
        self.results += results

    def tell(self, taken: Collection[int] = ()) -> None:
        self.told += 1


class House:
    """The engine with all around it; `async with` runs it on all partitions."""

    def __init__(self, program: Program, store: Store | None = None) -> None:
        self.store = store or Store()
        self.programs = Programs(program)
        self.sent = Sent()
        self.tracking = Tracking()
        metrics = EngineMetrics(CollectorRegistry())
        states = States(self.store, self.programs)
        recorder = Recorder(self.store, states, self.tracking, self.sent, Waker("workflow"), metrics)
        self.elsewhere = Elsewhere()
        self.engine = Engine(self.store, states, self.tracking, recorder, metrics, self.elsewhere)
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self.engine.run())
        self.engine.may_act_until(math.inf)
        self.engine.adopt(range(PARTITIONS), handed=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._running is not None
        assert not self._running.done(), self._running
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    def start(self, execution_id: UUID | None = None, input_: Any = None) -> "asyncio.Task[Accepted]":
        done: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        item = StartItem(
            execution_id or new_id(), TENANT, WORKFLOW, 1, input_, {}, "test", "user:test", "00-trace", done
        )
        return asyncio.create_task(self.engine.start(item))

    def cancel(self, execution_id: UUID, tenant_id: UUID = TENANT) -> "asyncio.Task[Accepted]":
        return self.tell(execution_id, c.Cancel(0, "why"), tenant_id)

    def tell(self, execution_id: UUID, command: Control, tenant_id: UUID = TENANT) -> "asyncio.Task[Accepted]":
        done: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        return asyncio.create_task(
            self.engine.control(ControlItem(execution_id, tenant_id, command, "user:test", done))
        )

    def done(self, execution_id: UUID, path: str, output: Any = None, attempt: int = 1) -> None:
        self.engine.results([TaskResult(execution_id, path, attempt, "ok", output)])

    async def kinds(self, execution_id: UUID) -> list[str]:
        return [event.TYPE.split(".")[1] for event in await self.store.events(execution_id)]

    async def until_ended(self, execution_id: UUID) -> str:
        await until(lambda: execution_id in self.store.rows and self.store.rows[execution_id].completed_at is not None)
        return self.store.rows[execution_id].status


async def until(holds: Any) -> None:
    """Wait until a condition holds; the test fails if that takes too long."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.001)
