"""Who starts executions and tells them things, at bad moments and twice, and notes what was promised."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec

from services.workflow.app.states import state_of
from services.workflow.domain import events as e
from services.workflow.domain.events import Origin
from services.workflow.domain.state import CANCELLED, FAILED, ExecutionState
from services.workflow.entry.messages import (
    CONTROL_SUBJECT,
    START_SUBJECT,
    Action,
    Answer,
    CancelAction,
    ControlExecution,
    DecideAction,
    PauseAction,
    ResumeAction,
    RetryAction,
    SignalAction,
    StartExecution,
    TerminateAction,
)
from shared.bus.answered import ANSWERS
from shared.eventstore.catalogue import DomainEvent
from tests.simulation.bus import Bus
from tests.simulation.world import TENANT, World

PATIENCE_S = 8.0
_answers = msgspec.json.Decoder(list[Answer]).decode
Told = StartExecution | ControlExecution


class Clients:
    """Everybody who sends commands."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self._sent: dict[str, Told] = {}
        self.roots: list[UUID] = []
        self.promises: list[tuple[Told, Answer]] = []
        self.bus: Bus

    def promised(self, subject: str, data: bytes) -> None:
        """Note an answer when it leaves: what it says has to be durable by then."""
        command, answer = self._sent[subject], _answers(data)[0]
        if answer.error is None:
            self.promises.append((command, answer))
            durable = self._world.version(answer.execution_id)
            if not 1 <= answer.version <= durable:
                self._world.violated(
                    f"{_name(command)} was answered with version {answer.version} when {durable} was durable"
                )

    def answered(self, subject: str, data: bytes) -> None:
        """Take an answer that arrived."""
        waiting = self._waiting.pop(subject, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(_answers(data)[0])

    async def start(self, forked_from: Origin | None = None) -> None:
        """Start an execution, again and again until there is an answer."""
        random = self._world.random
        execution_id = UUID(int=random.getrandbits(128))
        self.roots.append(execution_id)
        given = {"yes": 1, "list": [1, 2, 3][: random.randint(0, 3)], "colour": random.choice(("red", "blue", "grey"))}
        command = StartExecution(execution_id, TENANT, "w0", given, forked_from=forked_from)
        answer = await self._send(START_SUBJECT, command)
        while answer is None and random.random() < 0.5:
            answer = await self._send(START_SUBJECT, command)

    async def tell(self, execution_id: UUID, action: Action) -> None:
        """Tell an execution something."""
        await self._send(CONTROL_SUBJECT, ControlExecution(execution_id, TENANT, action, "user:1"))

    async def meddle(self) -> None:
        """Do something at random to an execution at random."""
        random = self._world.random
        known = [execution_id for execution_id in self._world.written.rows if random.random() < 0.7]
        if not known:
            return
        execution_id = random.choice(known)
        state = self.state(execution_id)
        if random.random() < 0.1 and execution_id in self.roots and state.steps:
            await self.start(Origin(execution_id, random.choice(list(state.steps))))
            return
        action = self._action(state)
        await self.tell(execution_id, action)
        if random.random() < 0.2:
            await self.tell(execution_id, action)

    def state(self, execution_id: UUID) -> ExecutionState:
        return state_of(self._world.written.log.stream(execution_id))

    def _action(self, state: ExecutionState) -> Action:
        random = self._world.random
        if state.status in {FAILED, CANCELLED} and random.random() < 0.8:
            return RetryAction()
        approvals = [path for path, wait in state.open_waits.items() if wait.kind == "approval"]
        if approvals and random.random() < 0.5:
            return DecideAction(random.choice(approvals), random.random() < 0.7)
        if state.paused_at is not None and random.random() < 0.5:
            return ResumeAction()
        kinds = (
            [PauseAction] * 3
            + [ResumeAction] * 2
            + [SignalAction] * 4
            + [CancelAction] * 2
            + [TerminateAction, RetryAction]
        )
        kind: Any = random.choice(kinds)
        if kind is SignalAction:
            return SignalAction(random.choice(("go", "go", "stop")), str(random.randint(1, 6)), random.randint(1, 9))
        made: Action = kind()
        return made

    async def help(self, execution_id: UUID, state: ExecutionState, turn: int) -> None:
        """Do what an execution waits for, unless its own time limit will end that."""
        if state.paused_at is not None:
            await self.tell(execution_id, ResumeAction())
        for path, wait in state.open_waits.items():
            if state.steps[path].deadline is not None:
                continue
            if wait.kind == "approval":
                await self.tell(execution_id, DecideAction(path, approved=True))
            elif not any(signal.name == wait.name for signal in state.signals.values()):
                await self.tell(execution_id, SignalAction(wait.name, f"help-{turn}-{path}"))

    async def _send(self, subject: str, command: Told) -> Answer | None:
        reply_to = f"{ANSWERS}people.{len(self._sent)}"
        self._sent[reply_to] = command
        answered = self._waiting[reply_to] = self._world.loop.create_future()
        self._world.note(f"a client sends {_name(command)} to {self._world.short(command.execution_id)}")
        self.bus.store(subject, b"[" + msgspec.json.encode(command) + b"]", reply_to)
        try:
            async with asyncio.timeout(PATIENCE_S):
                answer = await answered
        except TimeoutError:
            return None
        said = answer.status if answer.error is None else answer.error.code
        self._world.note(f"a client hears of {_name(command)}: {said} {answer.version}")
        return answer


def kept(command: Told, events: list[DomainEvent]) -> bool:  # noqa: PLR0911 - one answer a command
    """Whether the events up to the answer's version show what an answered command asked for."""
    if isinstance(command, StartExecution):
        return any(isinstance(event, e.ExecutionStarted) for event in events)
    ends = (e.ExecutionCompleted, e.ExecutionFailed, e.ExecutionCancelled)
    match command.action:
        case CancelAction():
            return any(isinstance(event, (*ends, e.CompensationStarted)) for event in events)
        case TerminateAction():
            return any(isinstance(event, ends) for event in events)
        case PauseAction():
            return any(isinstance(event, e.ExecutionPaused | e.CompensationStarted) for event in events)
        case RetryAction():
            return any(isinstance(event, e.ExecutionRetried) for event in events)
        case SignalAction(id=id_):
            return any(isinstance(event, e.SignalReceived) and event.id == id_ for event in events)
        case DecideAction(path=path):
            return any(
                isinstance(event, e.StepWaited) and event.path == path and event.outcome == e.DECIDED
                for event in events
            )
    return True


def _name(command: Told) -> str:
    if isinstance(command, StartExecution):
        return "start" if command.forked_from is None else f"fork of {command.forked_from.path}"
    return str(command.action)
