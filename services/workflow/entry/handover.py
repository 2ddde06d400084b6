"""A command is carried out by the process that owns its execution, whichever process it came to.

The command itself is handed over, as a list under the name of its verb, by request and reply over core NATS. A new verb
needs an entry in the table of verbs and nothing here. What is handed over is handed over once: who gets it carries it
out or says that it cannot now, and then the command, which is still in its stream, comes again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from services.workflow.app.engine import Engine
from services.workflow.app.items import Accepted
from services.workflow.app.starting import Request
from services.workflow.entry.commands import Refused
from services.workflow.entry.messages import START_SUBJECT, Answer, Refusal, StartExecution
from services.workflow.entry.routes import COMMANDS
from services.workflow.errors import PartitionMoving
from services.workflow.limits import HAND_OVER_S, MOVING_RETRY_S
from services.workflow.metrics import EngineMetrics
from shared.bus.envelope import EnvelopeDecoder, encode_item
from shared.bus.tasks import partition_of
from shared.errors import InvalidInput, PlatformError

_log = logging.getLogger(__name__)
_answers = msgspec.json.Decoder(list[Answer]).decode


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
    """Carries out commands here or has their owner do it."""

    def __init__(self, client: Callable[[], Client], engine: Engine, verbs: Verbs, metrics: EngineMetrics) -> None:
        self._client = client
        self._engine = engine
        self._verbs = {_token(subject): verb for subject, verb in verbs.items()}
        self._metrics = metrics
        self._answering: set[asyncio.Task[None]] = set()

    async def answers(self, subject: str, commands: Sequence[Command]) -> list[Answer]:
        """Return the answers to the commands of one message of `subject`, in their order."""
        return await _all([self._answer(_token(subject), command) for command in commands])

    async def start(self, request: Request) -> Accepted:
        """Start an execution that did not come as a command.

        Raises `Refused` with the code of what `Executions.start` raises, or `PartitionMoving` for what may do later.
        """
        command = msgspec.convert(request, StartExecution, from_attributes=True)
        answer = await self._answer(_token(START_SUBJECT), command)
        if answer.error is not None:
            if answer.error.retry_after is not None:
                raise PartitionMoving(answer.error.message, retry_after=answer.error.retry_after)
            raise Refused(answer)
        return Accepted(answer.execution_id, answer.status or "", answer.version, answer.position)

    async def on_command(self, message: Msg) -> None:
        """Carry out what another process hands over: here, or not at all."""
        answering = asyncio.create_task(self._reply(message))
        self._answering.add(answering)
        answering.add_done_callback(self._answering.discard)

    async def _answer(self, token: str, command: Command) -> Answer:
        if self._engine.takes(command.execution_id):
            return await self._verbs[token].answer(command)
        subject = f"{COMMANDS}.{partition_of(command.execution_id)}.{token}"
        self._metrics.handed_over.inc()
        try:
            body = b"[" + encode_item(command) + b"]"
            reply = await self._client().request(subject, body, timeout=HAND_OVER_S)
            return _answers(reply.data)[0]
        except (NatsError, PlatformError, TimeoutError, msgspec.MsgspecError, IndexError) as error:
            # Whether it was carried out is unknown: it comes again, and then says what is the case.
            moving = PartitionMoving(f"Nobody answers for the execution: {error!r}", retry_after=MOVING_RETRY_S)
            return _refused(command.execution_id, moving)

    async def _reply(self, message: Msg) -> None:
        verb = self._verbs.get(_token(message.subject))
        if verb is None:  # a newer process's: it is told so, and keeps the command until we are of its release
            _log.warning("a command on %s was handed over and is not known here", message.subject)
            return
        try:
            answers = await _all([verb.answer(command) for command in verb.decode(message.data)])
            await message.respond(msgspec.json.encode(answers))
        except (InvalidInput, NatsError) as error:
            _log.warning("a command on %s was handed over and could not be answered: %r", message.subject, error)


def _token(subject: str) -> str:
    return subject.rpartition(".")[2]


def _refused(execution_id: UUID, error: PlatformError) -> Answer:
    return Answer(execution_id, error=Refusal(error.code, error.message, error.faults, error.retry_after))


async def _all(work: list[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    if len(work) == 1:  # as nearly always: a task of its own would cost as much as the command
        return [await work[0]]
    return list(await asyncio.gather(*work))
