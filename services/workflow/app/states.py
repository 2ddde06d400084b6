"""States of executions: the last used are kept, the others folded again from their events in one read."""

import logging
from collections import OrderedDict
from collections.abc import Container, Iterable, Sequence
from uuid import UUID

import msgspec

from services.workflow.app.ports import ArchivedHistory, Programs, StatusRow, TransitionStore
from services.workflow.domain.events import EXECUTION_EVENTS
from services.workflow.domain.evolve import evolve
from services.workflow.domain.state import ExecutionState
from services.workflow.limits import ENGINE_STATES_CACHED
from shared.bus.tasks import partition_of
from shared.eventstore.event import RecordedEvent, Snapshot, decode_meta

# The shape of what a snapshot holds. Whoever changes a field of the state, or what a field means, counts it up: a
# snapshot of another shape is not read, for what it lacks would silently be a default.
SNAPSHOT_SHAPE = 1
_PREFIX = SNAPSHOT_SHAPE.to_bytes(2)

_log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ExecutionState).decode


def fold(state: ExecutionState, events: Iterable[RecordedEvent]) -> ExecutionState:
    """Fold recorded events into a state."""
    for event in events:
        if event.version == 1:
            state.traceparent = decode_meta(event.meta).traceparent
        evolve(state, EXECUTION_EVENTS.decode(event.type, event.data))
        state.size += len(event.data)
    return state


def state_of(events: Sequence[RecordedEvent]) -> ExecutionState:
    """Fold a whole history."""
    state = fold(ExecutionState(events[0].stream_id, events[0].tenant_id), events)
    state.archived = isinstance(events, ArchivedHistory)
    return state


def snapshot_of(state: ExecutionState) -> Snapshot:
    """Return the state as a snapshot."""
    return Snapshot(state.tenant_id, state.id, state.version, _PREFIX + _encode(state))


def read_snapshot(snapshot: Snapshot) -> ExecutionState | None:
    """Return the state in a snapshot; None if other code wrote it than this: the history tells the same."""
    if not snapshot.state.startswith(_PREFIX):
        return None
    try:
        return _decode(memoryview(snapshot.state)[len(_PREFIX) :])
    except msgspec.MsgspecError:
        _log.exception("the snapshot of the execution %s cannot be read: its history is", snapshot.stream_id)
        return None


def _archived(row: StatusRow) -> ExecutionState:
    ended = row.completed_at or row.started_at
    return ExecutionState(
        row.id,
        row.tenant_id,
        row.version,
        row.status,
        row.workflow_id,
        row.revision,
        started_at=int(row.started_at.timestamp() * 1000),
        ended_at=int(ended.timestamp() * 1000),
        archived=True,
    )


class States:
    """A cache with one owner: whoever takes a state out may change it, and must `forget` it if that is not recorded."""

    def __init__(self, store: TransitionStore, programs: Programs) -> None:
        self._store = store
        self.programs = programs
        self._states: OrderedDict[UUID, ExecutionState] = OrderedDict()

    async def load(self, ids: Iterable[UUID], believed_new: Container[UUID] = ()) -> dict[UUID, ExecutionState | None]:
        """Return the states by id; None where there is no such execution, or is believed to be none."""
        found: dict[UUID, ExecutionState | None] = {}
        missing: list[UUID] = []
        for execution_id in ids:
            state = self._states.get(execution_id)
            if state is None and execution_id in believed_new:
                found[execution_id] = None
            elif state is None:
                missing.append(execution_id)
            else:
                found[execution_id] = state
        return found | await self.load_recorded(missing)

    async def load_recorded(self, ids: Sequence[UUID]) -> dict[UUID, ExecutionState | None]:
        """Return the states as recorded, whatever the cache says; None where there is no such execution."""
        if not ids:
            return {}
        # In this order: a snapshot that is taken between the two reads overlaps with the events, and leaves no gap.
        streams = dict(await self._store.read_streams(ids))
        snapshots = await self._store.load_snapshots(ids)
        begun = {i: state for i, snapshot in snapshots.items() if (state := read_snapshot(snapshot)) is not None}
        if foreign := [i for i in snapshots if i not in begun]:
            streams |= await self._store.read_streams(foreign, whole=True)
        found = {i: _fold(i, begun.get(i), streams[i]) for i in ids}
        await self._look_in_archive(found, ids)
        return found

    def keep(self, state: ExecutionState) -> None:
        """Keep a state whose events are recorded; one that ended is no longer needed."""
        if state.ended:
            self._states.pop(state.id, None)
            return
        self._states[state.id] = state
        self._states.move_to_end(state.id)
        while len(self._states) > ENGINE_STATES_CACHED:
            self._states.popitem(last=False)

    def forget(self, execution_id: UUID) -> None:
        """Drop a state that is ahead of the log or behind it."""
        self._states.pop(execution_id, None)

    def forget_partitions(self, partitions: Container[int]) -> None:
        """Drop the states of partitions that another process decides from now on."""
        for execution_id in [i for i in self._states if partition_of(i) in partitions]:
            del self._states[execution_id]

    def clear(self) -> None:
        """Drop every state."""
        self._states.clear()

    async def _look_in_archive(self, found: dict[UUID, ExecutionState | None], missing: Sequence[UUID]) -> None:
        """What is not in the log, or ended, may be archived: the events of such may be there for a while longer."""
        doubtful = [i for i in missing if (state := found[i]) is None or state.ended]
        if doubtful:
            found |= {i: _archived(row) for i, row in (await self._store.archived(doubtful)).items()}


def _fold(execution_id: UUID, begun: ExecutionState | None, events: list[RecordedEvent]) -> ExecutionState | None:
    if begun is not None:
        reached = begun.version
        return fold(begun, (event for event in events if event.version > reached))
    if not events:
        return None
    return fold(ExecutionState(execution_id, events[0].tenant_id), events)
