"""Sends commands to the engine, wherever it runs, and waits for its answer."""

from collections.abc import Callable

import msgspec
from nats.aio.client import Client

from services.workflow.entry.messages import CONTROL_SUBJECT, START_SUBJECT, Answer, ControlExecution, StartExecution
from services.workflow.errors import EngineBusy
from shared.bus.answered import AnsweredCommands, NotStored
from shared.errors import PlatformError
from shared.limits import REQUEST_TIMEOUT_S

_decode = msgspec.json.Decoder(list[Answer]).decode


class Refused(PlatformError):
    """The engine refused a command; it is raised here with the engine's own code."""

    def __init__(self, answer: Answer) -> None:
        refusal = answer.error
        if refusal is None:
            raise ValueError("the engine did not refuse")
        super().__init__(refusal.message, faults=refusal.errors, retry_after=refusal.retry_after)
        self.code = refusal.code


class CommandSender:
    """Publishes durable commands: once stored they are carried out, whatever happens to us or to the engine."""

    def __init__(self, client: Callable[[], Client]) -> None:
        self._commands = AnsweredCommands("workflow", client)

    async def start(self, command: StartExecution) -> Answer:
        """Start an execution; return once that is durable. Raises what the engine refuses."""
        return await self._send(START_SUBJECT, command)

    async def control(self, command: ControlExecution) -> Answer:
        """Tell an execution what to do; return once that is durable. Raises what it refuses."""
        return await self._send(CONTROL_SUBJECT, command)

    async def listen(self) -> None:
        """Begin to hear answers."""
        await self._commands.listen()

    async def _send(self, subject: str, command: StartExecution | ControlExecution) -> Answer:
        body = b"[" + msgspec.json.encode(command) + b"]"
        try:
            answered = await self._commands.send(subject, body, REQUEST_TIMEOUT_S)
        except NotStored as error:
            raise _busy(command) from error
        if answered is None:
            raise _busy(command)
        answer = _decode(answered)[0]
        if answer.error is not None:
            raise Refused(answer)
        return answer


def _busy(command: StartExecution | ControlExecution) -> EngineBusy:
    return EngineBusy(
        "The engine did not answer in time. The command is kept: look at the execution, or send it again with "
        "the same Idempotency-Key.",
        retry_after=1,
        details={"execution_id": str(command.execution_id)},
    )
