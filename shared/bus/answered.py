"""Durable commands that are answered: published to a stream, carried out by whoever owns them, answered over core NATS.

JetStream uses a message's own reply subject for its acks, so a command names the subject of its answer in the header
`reply_to`; it lies below `answers.<who asks>.`, which no other service can hear.
"""

import asyncio
from collections.abc import Callable

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import APIError, NoStreamResponseError

from shared.ids import new_id

ANSWERS = "answers."
REPLY_TO = "reply_to"


class NotStored(Exception):
    """A command was not confirmed by its stream. `perhaps`: it may be there all the same."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(repr(cause))
        self.perhaps = not isinstance(cause, NoStreamResponseError | APIError)


class AnsweredCommands:
    """Publishes commands: once stored they are carried out, whatever happens to us or to who carries them out."""

    def __init__(self, service: str, client: Callable[[], Client]) -> None:
        self._client = client
        self._prefix = f"{ANSWERS}{service}.{new_id().hex}"
        self._waiting: dict[str, asyncio.Future[bytes]] = {}

    async def listen(self) -> None:
        """Begin to hear answers: one subscription for all commands of this process."""
        await self._client().subscribe(f"{self._prefix}.*", cb=self._on_answer)

    async def send(self, subject: str, body: bytes, seconds: float) -> bytes | None:
        """Return the answer, None if there is none within so many seconds: the command is kept then.

        Raises `NotStored`, or `Unavailable` without a connection.
        """
        answer_to = f"{self._prefix}.{new_id().hex}"
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[answer_to] = answered
        stored = False
        try:
            async with asyncio.timeout(seconds):
                await self._client().jetstream().publish(subject, body, headers={REPLY_TO: answer_to})
                stored = True
                return await answered
        except (TimeoutError, NatsError) as error:
            if stored:
                return None
            raise NotStored(error) from error
        finally:
            self._waiting.pop(answer_to, None)

    async def _on_answer(self, message: Msg) -> None:
        waiting = self._waiting.pop(message.subject, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(message.data)
