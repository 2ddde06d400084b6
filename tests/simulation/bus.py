"""NATS as processes see it: core subjects lose, double and reorder; durable commands come until they are settled."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
from nats.errors import ConnectionClosedError
from nats.errors import Error as NatsError

from services.workflow.adapters.dispatch import SUBJECTS
from services.workflow.app.family import CANCEL_CHILD
from services.workflow.limits import COMMAND_ACK_WAIT_S
from shared.bus.answered import ANSWERS, REPLY_TO
from shared.bus.outcome import Outcome, Retry
from shared.bus.tasks import Task
from tests.simulation.workers import Workers
from tests.simulation.world import World

if TYPE_CHECKING:
    from tests.simulation.clients import Clients
    from tests.simulation.processes import Process

NOBODY_THERE_S = 0.3
TYPES = {subject: type_ for type_, subject in SUBJECTS.items()}
Heard = Callable[[Any], Awaitable[None]]
_tasks = msgspec.json.Decoder(list[Task]).decode


class Message(msgspec.Struct):
    """What a handler reads of `nats.aio.msg.Msg`."""

    subject: str
    data: bytes
    headers: dict[str, str] | None = None


class Command(msgspec.Struct):
    """A message of the durable stream."""

    message: Message
    settled: bool = False
    deliveries: int = 0


class Bus:
    """Every way between processes, workers and clients."""

    def __init__(self, world: World, workers: Workers, clients: "Clients") -> None:
        self._world = world
        self._workers = workers
        self._clients = clients
        self.unsettled: dict[int, Command] = {}
        self._stored = 0

    def publish(self, subject: str, data: bytes) -> None:
        """Take a message of core NATS on its way."""
        world = self._world
        if subject in TYPES:
            self._check(_tasks(data))
        elif subject.startswith(ANSWERS):
            self._clients.promised(subject, data)
        for _ in range(world.weather.copies()):
            world.loop.call_later(world.weather.delay(), self._arrive, subject, data)

    def store(self, subject: str, body: bytes, reply_to: str) -> None:
        """Keep a command until a process has settled it."""
        self._stored += 1
        command = self.unsettled[self._stored] = Command(Message(subject, body, {REPLY_TO: reply_to}))
        self._later(self._stored, command, self._world.weather.delay())
        if self._world.weather.hits(self._world.weather.twice):
            self._later(self._stored, command, self._world.weather.delay())

    def _arrive(self, subject: str, data: bytes) -> None:
        world = self._world
        if subject.startswith(ANSWERS):
            self._clients.answered(subject, data)
        elif subject.startswith("results."):
            for process in world.living():
                self._hand(process, subject, subject, data)
        elif subject == CANCEL_CHILD or TYPES[subject] == "workflow":
            if world.living():
                self._hand(world.random.choice(world.living()), subject, subject, data)
        else:
            for task in _tasks(data):
                self._workers.take(task)

    def _hand(self, process: "Process", heard_as: str, subject: str, data: bytes) -> None:
        callback = process.heard.get(heard_as)
        if callback is not None:
            process.spawn(callback(Message(subject, data)))

    def _later(self, number: int, command: Command, after: float) -> None:
        self._world.loop.call_later(after, self._deliver, number, command)

    def _deliver(self, number: int, command: Command) -> None:
        if command.settled:
            return
        living = self._world.living()
        if not living:
            self._later(number, command, NOBODY_THERE_S)
            return
        process = self._world.random.choice(living)
        command.deliveries += 1
        process.spawn(self._handle(process, number, command))
        self._world.loop.call_later(COMMAND_ACK_WAIT_S, self._again, number, command, command.deliveries)

    def _again(self, number: int, command: Command, deliveries: int) -> None:
        if command.deliveries == deliveries:
            self._deliver(number, command)

    async def _handle(self, process: "Process", number: int, command: Command) -> None:
        """Do as `shared.bus.durable` does."""
        outcome: Outcome
        try:
            outcome = await process.handlers[command.message.subject](command.message)
        except NatsError as error:
            outcome = Retry(1.0, repr(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the run is about
            self._world.violated(f"a handler failed: {error!r}")
            return
        weather = self._world.weather
        if weather.hits(weather.lost):
            return  # the ack is lost, and the command comes again
        if isinstance(outcome, Retry):
            command.deliveries += 1
            world = self._world
            world.loop.call_later(outcome.after, self._deliver, number, command, context=world.outside)
        else:
            command.settled = True
            self.unsettled.pop(number, None)

    def _check(self, tasks: list[Task]) -> None:
        """Nothing may be asked for before it is recorded that it is."""
        for task in tasks:
            asked = self._world.scheduled(task.execution_id)
            if (task.step_path, task.attempt) not in asked:
                self._world.violated(f"the task {task.task_id} was sent before it was recorded")


class Connection:
    """A process's client of NATS."""

    is_connected = True

    def __init__(self, world: World, bus: Bus, heard: dict[str, Heard]) -> None:
        self._world = world
        self._bus = bus
        self._heard = heard

    async def publish(self, subject: str, payload: bytes) -> None:
        weather = self._world.weather
        if weather.hits(0.2):
            await asyncio.sleep(weather.delay())
        if weather.hits(weather.cut):
            raise ConnectionClosedError
        self._world.loop.call_soon(self._bus.publish, subject, payload, context=self._world.outside)

    async def subscribe(self, subject: str, *, cb: Heard, **_: Any) -> None:
        await asyncio.sleep(self._world.weather.delay())
        self._heard[subject] = cb
