"""The event store and the definitions, as one process reaches them: slowly, not at all, or without an answer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from services.workflow.app.ports import Resolved, StatusRow, Transition
from services.workflow.domain.language.program import Program
from services.workflow.errors import StoreAway, WorkflowNotFound
from shared.eventstore.errors import ConcurrentAppend
from shared.eventstore.event import RecordedEvent, Snapshot
from shared.eventstore.group_commit import commit_units
from shared.scope import TenantScope
from tests.simulation.world import World

T = TypeVar("T")


class SimulatedStore:
    """`TransitionStore`, and the reader of single executions."""

    def __init__(self, world: World, process: str) -> None:
        self._world = world
        self._process = process

    async def record(self, transitions: Sequence[Transition]) -> tuple[int, list[Transition]]:
        return await self._world.elsewhere(commit_units(self, self._commit, transitions))  # type: ignore[arg-type]

    async def versions(self, stream_ids: Sequence[UUID]) -> Mapping[UUID, int]:
        await self._way()
        return await self._world.written.log.versions(stream_ids)

    async def read_streams(
        self, stream_ids: Sequence[UUID], *, whole: bool = False
    ) -> Mapping[UUID, list[RecordedEvent]]:
        return await self._read(lambda: self._world.written.log.read_streams(stream_ids, whole=whole))

    async def load_snapshots(self, stream_ids: Sequence[UUID]) -> Mapping[UUID, Snapshot]:
        return await self._read(lambda: self._world.written.log.load_snapshots(stream_ids))

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        await self._read(lambda: self._world.written.log.save_snapshot(snapshot))

    async def open_executions(self, partitions: Sequence[int], after: UUID, limit: int) -> list[UUID]:
        await self._way()
        found = self._world.written.open_executions(partitions, after, limit)
        await self._way()
        return found

    async def archived(self, ids: Sequence[UUID]) -> Mapping[UUID, StatusRow]:
        await self._way()
        return {}

    async def read_stream(
        self, scope: TenantScope, stream_id: UUID, *, after: int = 0, upto: int | None = None, limit: int | None = None
    ) -> list[RecordedEvent]:
        log = self._world.written.log
        return await self._read(lambda: log.read_stream(scope, stream_id, after=after, upto=upto, limit=limit))

    async def _read(self, work: Callable[[], Awaitable[T]]) -> T:
        await self._way()
        found = await work()
        await self._way()
        return found

    async def _way(self) -> None:
        weather = self._world.weather
        await asyncio.sleep(weather.delay())
        if weather.store_away or weather.hits(weather.refused):
            raise StoreAway("The event store does not answer.", retry_after=1)

    async def _commit(self, transitions: Sequence[Transition]) -> int:
        """Write, or fail: before, after, or with the write still on its way when the failure is reported."""
        await self._way()
        world, weather = self._world, self._world.weather
        unknown = weather.hits(weather.unknown)
        if unknown and world.random.random() < 0.5:
            world.spawn(self._land(transitions, world.random.uniform(0.0, 3.0)))
        else:
            position = await world.written.commit(transitions)
            self._tell(transitions)
        if unknown:
            raise StoreAway("The connection was lost before the answer.", retry_after=1)
        await asyncio.sleep(weather.delay())
        return position

    async def _land(self, transitions: Sequence[Transition], after: float) -> None:
        await asyncio.sleep(after)
        try:
            await self._world.written.commit(transitions)
        except ConcurrentAppend:
            return
        self._tell(transitions, " late")

    def _tell(self, transitions: Sequence[Transition], how: str = "") -> None:
        world = self._world
        if world.trace is None:
            return
        for transition in transitions:
            for event in transition.events:
                said = event.data.decode()
                which = f"{world.short(event.stream_id)}.{event.version}"
                world.note(f"{self._process} writes{how} {which} {event.type[9:-3]} {said[:160]}")


class SimulatedPrograms:
    """The definitions of this run, by number: `Programs` as one process reaches them."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def load(self, workflow_id: UUID, revision: int) -> Program:
        await self._way()
        return self._world.programs[workflow_id.int]

    async def resolve(self, tenant_id: UUID, workflow: str) -> Resolved:
        await self._way()
        number = int(workflow.removeprefix("w"))
        if number >= len(self._world.programs):
            raise WorkflowNotFound(workflow)
        return Resolved(UUID(int=number), 1)

    async def _way(self) -> None:
        """Most are found in a cache."""
        weather = self._world.weather
        if self._world.random.random() < 0.1:
            await asyncio.sleep(weather.delay())
            if weather.store_away or weather.hits(weather.refused):
                raise StoreAway("The definition cannot be read now.", retry_after=1)
