"""Processes of the workflow service: the engine and all its handlers, wired as `bootstrap` does, and killed at will."""

import asyncio
import math
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, cast

import msgspec
from nats.errors import Error as NatsError
from prometheus_client import CollectorRegistry

from services.workflow.adapters.dispatch import SUBJECTS, NatsDispatch
from services.workflow.app.admission import Admission
from services.workflow.app.children import Children, watch_orphans
from services.workflow.app.slots import Slots
from services.workflow.app.starting import Executions
from services.workflow.app.states import States
from services.workflow.domain.state import ExecutionState
from services.workflow.entry.consumer import consumers, listen_to_parents, verbs
from services.workflow.entry.handover import HandOver
from services.workflow.entry.routes import NatsRoutes
from services.workflow.limits import LOOK_FOR_ORPHANS_S
from services.workflow.metrics import EngineMetrics
from shared.bus.durable import Handler
from shared.bus.tasks import PARTITIONS, Task, result_subject
from shared.ids import new_id
from tests.simulation.bus import Bus, Connection, Heard, Message
from tests.simulation.invariants import same_as_log, same_as_row
from tests.simulation.store import SimulatedPrograms, SimulatedStore
from tests.simulation.virtual_loop import Life
from tests.simulation.world import World
from tests.unit.workflow_engine.engine_parts import Classes, assemble

CHECKED = 0.2  # of the states
SNAPSHOT_EVERY = 12  # the histories of a simulation are short
_METRICS = EngineMetrics(CollectorRegistry())
_tasks = msgspec.json.Decoder(list[Task]).decode


class Process:
    """One process, from its start to its crash."""

    def __init__(self, world: World, bus: Bus, name: str, classes: Classes) -> None:
        self.life = Life(name)
        world.loop.lives.append(self.life)
        self.heard: dict[str, Heard] = {}
        self._world = world
        skew = world.random.choice((0, 0, -400, 1_500))
        store, programs = SimulatedStore(world, name), SimulatedPrograms(world)
        connection: Any = Connection(world, bus, self.heard)
        engine_id = new_id()
        self._routes = NatsRoutes(lambda: connection, engine_id, _METRICS)
        self.parts = assemble(
            store,
            programs,
            NatsDispatch(lambda: connection),
            _METRICS,
            self._routes,
            lambda: world.now_ms() + skew,
            SNAPSHOT_EVERY,
            replace(classes, states=_checked(classes.states, world)),
        )
        self._connection = connection
        admission = Admission(cast("Slots", None), self.parts.engine, programs, store)
        table = verbs(Executions(self.parts.engine, programs, store, admission))
        handover = HandOver(lambda: connection, engine_id, self._routes, table, _METRICS)
        self._children = Children(handover, store)
        self._begun: set[str] = set()
        self.handlers: dict[str, Handler] = {
            consumer.subject: consumer.handler for consumer in consumers(lambda: connection, table, handover)
        }

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something in this process."""
        task = self._world.loop.create_task(work, context=self.life.context)
        task.add_done_callback(self._ended, context=self._world.outside)
        return task

    def start(self) -> None:
        """Begin everything that a process does by itself."""
        engine = self.parts.engine
        self.heard[SUBJECTS["workflow"]] = self._on_children
        self.spawn(self._take_all())
        self.spawn(engine.run())
        self.spawn(watch_orphans(engine, self._children, LOOK_FOR_ORPHANS_S))
        self.spawn(listen_to_parents(self._connection, self._children))
        self._world.note(f"{self.life.name} starts")

    async def _take_all(self) -> None:
        """Decide all partitions, as every other process does: nothing may hang on who owns what."""
        engine = self.parts.engine
        await self._routes.listen(engine.results, lambda: None)
        await self._routes.open(range(PARTITIONS))
        engine.adopt(range(PARTITIONS), handed=False)
        engine.may_act_until(math.inf)

    def kill(self) -> None:
        """End at once, wherever it is."""
        self.life.dead = True
        self._world.note(f"{self.life.name} is killed")

    def _ended(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, NatsError):
            self._world.violated(f"a part of a process failed: {error!r}")

    async def _on_children(self, message: Message) -> None:
        """Do as `shared.bus.worker` does for tasks that start children."""
        await asyncio.gather(*(self._begin_child(task) for task in _tasks(message.data)))

    async def _begin_child(self, task: Task) -> None:
        if task.task_id in self._begun:
            return
        self._begun.add(task.task_id)
        try:
            result = await self._children.do(task)
        finally:
            self._begun.discard(task.task_id)
        await self._connection.publish(result_subject(task.partition), b"[" + msgspec.json.encode(result) + b"]")


def _checked(states: type[States], world: World) -> type[States]:
    """Return states that are held against the log now and then, at the moment when they are taken for recorded."""

    class Checked(states):  # type: ignore[valid-type, misc]
        def keep(self, state: ExecutionState) -> None:
            super().keep(state)
            same_as_row(world, state)
            if state.ended or world.random.random() < CHECKED:
                same_as_log(world, state)

    return Checked
