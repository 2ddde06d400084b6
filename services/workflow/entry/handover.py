"""A command is carried out by the process that owns its execution, whichever process it came to.

The command itself is handed over, as a list under the name of its verb, by request and reply over core NATS. A new verb
needs an entry in the table of verbs and nothing here. What is handed over is handed over once: who gets it carries it
out or says that it cannot now, and then the command, which is still in its stream, comes again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from services.workflow.app.items import Accepted, Control
from services.workflow.app.starting import Request
from services.workflow.domain import commands as c
from services.workflow.entry.commands import Refused
from services.workflow.entry.messages import (
    CONTROL_SUBJECT,
    START_SUBJECT,
    AdmitAction,
    Answer,
    CancelAction,
    ControlExecution,
    Refusal,
    StartExecution,
)
from services.workflow.errors import PartitionMoving
from services.workflow.limits import HAND_OVER_S, MOVING_RETRY_S
from services.workflow.metrics import EngineMetrics
from shared.bus.envelope import EnvelopeDecoder, encode_item
from shared.errors import InvalidInput, PlatformError
from shared.limits import ENVELOPE_MAX_BYTES, ENVELOPE_MAX_ITEMS, NATS_PENDING_BYTES

_log = logging.getLogger(__name__)
_answers = msgspec.json.Decoder(list[Answer]).decode


COMMANDS = "commands.workflow.engine"
"""`<this>.<engine>.<verb>`: a list of commands, handed over by another process of the service."""


class Owners(Protocol):
    """Who decides what."""

    def owner_of(self, execution_id: UUID) -> UUID | None:
        """Return the engine that decides an execution, if that is another one and known."""
        ...


class Command(Protocol):
    """Whatever is asked of one execution."""

    @property
    def execution_id(self) -> UUID:
        """The execution; it says who carries the command out."""
        ...


C = TypeVar("C", bound=Command)


class Verb(Generic[C]):
    """How the commands of one subject are read and carried out here."""

    def __init__(self, command: type[C], carry_out: Callable[[C], Awaitable[Accepted]]) -> None:
        self.decode = EnvelopeDecoder(command)
        self._carry_out = carry_out

    async def answer(self, command: C) -> Answer:
        """Carry out here; what a caller is meant to understand is said in the answer."""
        try:
            accepted = await self._carry_out(command)
        except PlatformError as error:
            return _refused(command.execution_id, error)
        return Answer(accepted.execution_id, accepted.status, accepted.version, accepted.position)


Verbs = Mapping[str, Verb[Any]]
"""By the subject of the durable command."""


class HandOver:
    """Carries out commands here or has their owner do it: what goes to one owner in one turn goes in one message."""

    def __init__(
        self,
        client: Callable[[], Client],
        engine_id: UUID,
        owners: Owners,
        verbs: Verbs,
        metrics: EngineMetrics,
    ) -> None:
        self._client = client
        self._engine_id = engine_id
        self._owners = owners
        self._verbs = {_token(subject): verb for subject, verb in verbs.items()}
        self._metrics = metrics
        self._outgoing: dict[str, list[_Asked]] = {}
        self._work: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        """Begin to hear what other processes hand over."""

        async def on_commands(message: Msg) -> None:
            self._spawn(self._reply(message))

        await self._client().subscribe(
            f"{COMMANDS}.{self._engine_id}.*", cb=on_commands, pending_bytes_limit=NATS_PENDING_BYTES
        )

    async def answers(self, subject: str, commands: Sequence[Command]) -> list[Answer]:
        """Return the answers to the commands of one message of `subject`, in their order."""
        return await _all([self._answer(_token(subject), command) for command in commands])

    async def start(self, request: Request) -> Accepted:
        """Start an execution that did not come as a command.

        Raises `Refused` with the code of what `Executions.start` raises, or `PartitionMoving` for what may do later.
        """
        command = msgspec.convert(request, StartExecution, from_attributes=True)
        return _accepted(await self._answer(_token(START_SUBJECT), command))

    async def control(self, command: ControlExecution) -> Accepted:
        """Tell an execution something that did not come as a command. Raises as `start` does."""
        return _accepted(await self._answer(_token(CONTROL_SUBJECT), command))

    async def tell(self, execution_id: UUID, tenant_id: UUID, command: Control, actor: str) -> Accepted:
        """Cancel or admit an execution. Raises as `start` does."""
        if isinstance(command, c.Cancel):
            return await self.cancel(execution_id, tenant_id, command.reason, actor)
        if isinstance(command, c.Admit):
            return await self.control(ControlExecution(execution_id, tenant_id, AdmitAction(), actor))
        raise TypeError(f"{command!r} is told by people alone")

    async def cancel(self, execution_id: UUID, tenant_id: UUID, reason: str, actor: str) -> Accepted:
        """Cancel an execution. Raises as `start` does."""
        return await self.control(ControlExecution(execution_id, tenant_id, CancelAction(reason), actor))

    async def _answer(self, token: str, command: Command) -> Answer:
        owner = self._owners.owner_of(command.execution_id)
        if owner is None:  # ours; or nobody's, as the engine will say
            return await self._verbs[token].answer(command)
        asked = _Asked(command.execution_id, encode_item(command), asyncio.get_running_loop().create_future())
        self._metrics.handed_over.inc()
        if not self._outgoing:
            self._spawn(self._send())
        self._outgoing.setdefault(f"{COMMANDS}.{owner}.{token}", []).append(asked)
        answer = await asked.answered
        if answer.error is not None and answer.error.code == PlatformError.code:
            raise RuntimeError(f"The owner of the execution {command.execution_id} failed: its log says why.")
        return answer

    async def _send(self) -> None:
        await asyncio.sleep(0)  # let everything that is ready in this turn arrive
        outgoing, self._outgoing = self._outgoing, {}
        for subject, asked in outgoing.items():
            for some in _messages(asked):
                self._spawn(self._ask(subject, some))

    async def _ask(self, subject: str, asked: "list[_Asked]") -> None:
        """Ask an owner. Whatever happens, whoever waits is told."""
        try:
            answers = await self._asked(subject, asked)
        except Exception as error:  # noqa: BLE001 - a bug: it is counted by each who waits, as one in the command is
            for one in asked:
                if not one.answered.done():
                    one.answered.set_exception(error)
            return
        for one, answer in zip(asked, answers, strict=True):
            if not one.answered.done():
                one.answered.set_result(answer)

    async def _asked(self, subject: str, asked: "list[_Asked]") -> list[Answer]:
        body = b"[" + b",".join(one.command for one in asked) + b"]"
        try:
            reply = await self._client().request(subject, body, timeout=HAND_OVER_S)
            answers = _answers(reply.data)
            if len(answers) != len(asked):
                raise InvalidInput(f"{len(answers)} answers to {len(asked)} commands")
        except (NatsError, PlatformError, TimeoutError, msgspec.MsgspecError) as error:
            # Whether they were carried out is unknown: they come again, and then it is said what is the case.
            moving = PartitionMoving(f"The owner does not answer: {error!r}", retry_after=MOVING_RETRY_S)
            return [_refused(one.execution_id, moving) for one in asked]
        return answers

    async def _reply(self, message: Msg) -> None:
        verb = self._verbs.get(_token(message.subject))
        if verb is None:  # a newer process's: it keeps the command until we are of its release
            _log.warning("a command on %s was handed over and is not known here", message.subject)
            return
        try:
            answers = await _all([_carried_out(verb, command) for command in verb.decode(message.data)])
            await message.respond(msgspec.json.encode(answers))
        except (InvalidInput, NatsError) as error:
            _log.warning("a command on %s was handed over and could not be answered: %r", message.subject, error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        running = asyncio.create_task(work)
        self._work.add(running)
        running.add_done_callback(self._work.discard)


class _Asked(msgspec.Struct):
    """A command on its way to its owner."""

    execution_id: UUID
    command: bytes
    answered: asyncio.Future[Answer]


def _messages(asked: list[_Asked]) -> Iterator[list[_Asked]]:
    """Split into as few messages as the bounds on items and bytes allow."""
    some: list[_Asked] = []
    size = 0
    for one in asked:
        if some and (len(some) == ENVELOPE_MAX_ITEMS or size + len(one.command) > ENVELOPE_MAX_BYTES):
            yield some
            some, size = [], 0
        some.append(one)
        size += len(one.command)
    yield some


async def _carried_out(verb: Verb[C], command: C) -> Answer:
    try:
        return await verb.answer(command)
    except Exception:  # noqa: BLE001 - a bug in one command: whoever handed it over counts how often, as for its own
        _log.exception("a command for the execution %s failed", command.execution_id)
        return Answer(command.execution_id, error=Refusal(PlatformError.code, "The command failed."))


def _accepted(answer: Answer) -> Accepted:
    if answer.error is not None:
        if answer.error.retry_after is not None:
            raise PartitionMoving(answer.error.message, retry_after=answer.error.retry_after)
        raise Refused(answer)
    return Accepted(answer.execution_id, answer.status or "", answer.version, answer.position)


def _token(subject: str) -> str:
    return subject.rpartition(".")[2]


def _refused(execution_id: UUID, error: PlatformError) -> Answer:
    return Answer(execution_id, error=Refusal(error.code, error.message, error.faults, error.retry_after))


async def _all(work: list[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    if len(work) == 1:  # as nearly always: a task of its own would cost as much as the command
        return [await work[0]]
    return list(await asyncio.gather(*work))
