"""What an engine needs around it without servers: a log in memory with its status rows, and the wiring."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.workflow.app.clock import Clock, now_ms
from services.workflow.app.engine import Engine
from services.workflow.app.ports import Dispatch, Programs, StatusRow, Transition, TransitionStore
from services.workflow.app.recording import Recorder
from services.workflow.app.states import States
from services.workflow.app.tracking import Tracking
from services.workflow.metrics import EngineMetrics
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

    def open_executions(self, after: UUID, limit: int) -> list[UUID]:
        return sorted(i for i, row in self.rows.items() if row.completed_at is None and i > after)[:limit]

    async def commit(self, transitions: Sequence[Transition]) -> int:
        """Write all or nothing. Raises `ConcurrentAppend`."""
        position = await self.log.append([event for one in transitions for event in one.events])
        for one in transitions:
            if one.row is not None:
                self.rows[one.row.id] = one.row
        return position


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
    clock: Clock = now_ms,
    snapshot_every: int = SNAPSHOT_EVERY,
    classes: Classes = Classes(),
) -> EngineParts:
    """Wire an engine as `bootstrap` does."""
    states, tracking = classes.states(store, programs), Tracking()
    writes = classes.recorder(store, states, tracking, dispatch, Waker("workflow"), metrics, clock, snapshot_every)
    return EngineParts(states, tracking, writes, classes.engine(store, states, tracking, writes, metrics, clock))
