"""An engine on a log in memory: what it writes, what it sends, and a hand on the time that a commit takes."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any, Self, cast
from uuid import UUID

from prometheus_client import CollectorRegistry

from services.workflow.app.admission import Admission
from services.workflow.app.family import Orphan
from services.workflow.app.items import Accepted, Control, ControlItem, StartItem
from services.workflow.app.ports import Resolved, StatusRow, Transition
from services.workflow.domain import commands as c
from services.workflow.domain.events import EXECUTION_EVENTS
from services.workflow.domain.language.program import Program
from services.workflow.errors import StoreAway
from services.workflow.metrics import EngineMetrics
from shared.bus.tasks import PARTITIONS, Task, TaskResult
from shared.eventstore.catalogue import DomainEvent
from shared.eventstore.event import RecordedEvent, Snapshot
from shared.ids import new_id
from tests.unit.workflow_engine.engine_parts import Elsewhere, Written, assemble
from tests.unit.workflow_engine.scenario import TENANT, WORKFLOW

PATIENCE_S = 10.0
NO_ADMISSION = cast("Admission", None)
"""For programs without a concurrency key, which ask for none."""
LEASE_S = 3600.0


class Store:
    """`TransitionStore` in memory. `open` is the gate that commits pass; `away` makes them fail."""

    def __init__(self) -> None:
        self._written = Written()
        self.log, self.rows = self._written.log, self._written.rows
        self.commits: list[list[UUID]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.away = False
        self.unreadable: set[UUID] = set()

    async def record(self, transitions: Sequence[Transition]) -> tuple[int, list[Transition]]:
        self.commits.append([t.events[0].stream_id for t in transitions])
        await self.open.wait()
        self._reached()
        return await self._written.record(transitions)

    async def read_streams(
        self, stream_ids: Sequence[UUID], *, whole: bool = False
    ) -> Mapping[UUID, list[RecordedEvent]]:
        self._reached()
        if self.unreadable.intersection(stream_ids):
            raise ValueError("an event that this code does not know")
        return await self.log.read_streams(stream_ids, whole=whole)

    async def load_snapshots(self, stream_ids: Sequence[UUID]) -> Mapping[UUID, Snapshot]:
        self._reached()
        return await self.log.load_snapshots(stream_ids)

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        await self.log.save_snapshot(snapshot)

    async def versions(self, stream_ids: Sequence[UUID]) -> Mapping[UUID, int]:
        self._reached()
        return await self.log.versions(stream_ids)

    async def open_executions(self, partitions: Sequence[int], after: UUID, limit: int) -> list[UUID]:
        self._reached()
        return self._written.open_executions(partitions, after, limit)

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


class House:
    """The engine with all around it; `async with` runs it on all partitions."""

    def __init__(self, program: Program, store: Store | None = None) -> None:
        self.store = store or Store()
        self.programs = Programs(program)
        self.sent = Sent()
        self.elsewhere = Elsewhere()
        parts = assemble(self.store, self.programs, self.sent, EngineMetrics(CollectorRegistry()), self.elsewhere)
        self.engine, self.tracking = parts.engine, parts.tracking
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self.engine.run())
        self.engine.may_act_until(math.inf)
        self._adopted = self.engine.adopt(range(PARTITIONS), handed=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._running is not None
        assert not self._running.done(), self._running
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    def is_ready(self) -> bool:
        """Whether what was open before was taken up."""
        return self._adopted.done()

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
