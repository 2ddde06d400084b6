"""What an engine needs around it without servers: a log in memory with its status rows, and the wiring."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.workflow.app.clock import Clock, now_ms
from services.workflow.app.engine import Engine
from services.workflow.app.ports import Dispatch, Programs, Routes, StatusRow, Transition, TransitionStore
from services.workflow.app.recording import Recorder
from services.workflow.app.states import States
from services.workflow.app.tracking import Tracking
from services.workflow.metrics import EngineMetrics
from shared.bus.tasks import TaskResult, partition_of
from shared.eventstore.group_commit import commit_units
from shared.eventstore.memory import InMemoryEventLog
from shared.limits import SNAPSHOT_EVERY
from shared.tail.waker import Waker


class Written:
    """What the engines of all processes wrote."""

    def __init__(self) -> None:
        self.log = InMemoryEventLog()
        self.rows: dict[UUID, StatusRow] = {}

    async def record(self, transitions: Sequence[Transition]) -> tuple[int, list[Transition]]:
        """Write as `TransitionStore.record` does: events and rows at once."""
        return await commit_units(self.log, self.commit, transitions)

    def open_executions(self, partitions: Sequence[int], after: UUID, limit: int) -> list[UUID]:
        mine = {i: row for i, row in self.rows.items() if partition_of(i) in partitions and i > after}
        return sorted(i for i, row in mine.items() if row.completed_at is None)[:limit]

    async def commit(self, transitions: Sequence[Transition]) -> int:
        """Write all or nothing. Raises `ConcurrentAppend`."""
        position = await self.log.append([event for one in transitions for event in one.events])
        for one in transitions:
            if one.row is not None:
                self.rows[one.row.id] = one.row
        return position


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


@dataclass(frozen=True)
class Classes:
    """What an engine is made of: what is shipped, unless a test puts something of its own in its place."""

    engine: type[Engine] = Engine
    recorder: type[Recorder] = Recorder
    states: type[States] = States


@dataclass(frozen=True)
class EngineParts:
    states: States
    tracking: Tracking
    recorder: Recorder
    engine: Engine


def assemble(
    store: TransitionStore,
    programs: Programs,
    dispatch: Dispatch,
    metrics: EngineMetrics,
    routes: Routes,
    clock: Clock = now_ms,
    snapshot_every: int = SNAPSHOT_EVERY,
    classes: Classes = Classes(),
) -> EngineParts:
    """Wire an engine as `bootstrap` does."""
    states, tracking = classes.states(store, programs), Tracking()
    writes = classes.recorder(store, states, tracking, dispatch, Waker("workflow"), metrics, clock, snapshot_every)
    return EngineParts(
        states, tracking, writes, classes.engine(store, states, tracking, writes, metrics, routes, clock)
    )
