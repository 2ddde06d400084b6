"""Sends commands to the engine, wherever it runs, and waits for its answer."""

import asyncio
from collections.abc import Callable

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from services.workflow.entry.messages import (
    ANSWERS,
    CONTROL_SUBJECT,
    REPLY_TO,
    START_SUBJECT,
    Answer,
    ControlExecution,
    StartExecution,
)
from services.workflow.errors import EngineBusy
from shared.errors import PlatformError
from shared.ids import new_id
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
        self._client = client
        self._prefix = f"{ANSWERS}workflow.{new_id().hex}"
        self._waiting: dict[str, asyncio.Future[bytes]] = {}

    async def start(self, command: StartExecution) -> Answer:
        """Start an execution; return once that is durable. Raises what the engine refuses."""
        return await self._send(START_SUBJECT, command)

    async def control(self, command: ControlExecution) -> Answer:
        """Tell an execution what to do; return once that is durable. Raises what it refuses."""
        return await self._send(CONTROL_SUBJECT, command)

    async def listen(self) -> None:
        """Begin to hear answers: one subscription for all commands of this process."""
        await self._client().subscribe(f"{self._prefix}.*", cb=self._on_answer)

    async def _on_answer(self, message: Msg) -> None:
        waiting = self._waiting.pop(message.subject, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(message.data)

    async def _send(self, subject: str, command: StartExecution | ControlExecution) -> Answer:
        answer_to = f"{self._prefix}.{new_id().hex}"
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[answer_to] = answered
        body = b"[" + msgspec.json.encode(command) + b"]"
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                await self._client().jetstream().publish(subject, body, headers={REPLY_TO: answer_to})
                answer = _decode(await answered)[0]
        except (TimeoutError, NatsError) as error:
            raise EngineBusy(
                "The engine did not answer in time. The command is kept: look at the execution, or send it again with "
                "the same Idempotency-Key.",
                retry_after=1,
                details={"execution_id": str(command.execution_id)},
            ) from error
        finally:
            self._waiting.pop(answer_to, None)
        if answer.error is not None:
            raise Refused(answer)
        return answer
