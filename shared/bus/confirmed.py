"""Publishes many messages to JetStream and waits once until all of them are stored.

The client's own `publish_async` makes a future, a random token and a timer for each message, which costs more than the
message. Here a confirmation is counted off by its number.
"""

import asyncio
from collections.abc import Sequence
from typing import Self

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from shared.bus.cloudevents import Fact
from shared.errors import Unavailable


class _Refusal(msgspec.Struct):
    description: str = "it does not say why"


class _Confirmation(msgspec.Struct):
    error: _Refusal | None = None


_decode = msgspec.json.Decoder(_Confirmation).decode
_NO_RESPONDERS = "503"


class ConfirmedPublisher:
    """One at a time may publish with it. Use as a context manager."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._prefix = client.new_inbox()
        self._number = 0
        self._waiting: set[str] = set()
        self._stored: asyncio.Future[None] | None = None
        self._subscription: Subscription | None = None

    async def __aenter__(self) -> Self:
        self._subscription = await self._client.subscribe(f"{self._prefix}.*", cb=self._on_confirmation)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._subscription is not None and self._client.is_connected:
            await self._subscription.unsubscribe()

    async def publish(self, facts: Sequence[Fact]) -> None:
        """Publish in order; return when all are stored. Raises `Unavailable` if one is refused.

        A server that dies takes its confirmations with it: they never come, so the caller sets a time.
        """
        if not facts:
            return
        stored = self._stored = asyncio.get_running_loop().create_future()
        replies = [f"{self._prefix}.{self._number + place}" for place in range(len(facts))]
        self._number += len(facts)
        self._waiting = set(replies)  # all of them, before the first can be confirmed
        for fact, reply in zip(facts, replies, strict=True):
            await self._client.publish(fact.subject, fact.data, reply=reply, headers=fact.headers)
        await stored

    async def _on_confirmation(self, message: Msg) -> None:
        if message.subject not in self._waiting:
            return  # of an earlier call, which was given up
        self._waiting.discard(message.subject)
        refused = _refusal(message)
        if self._stored is None or self._stored.done():
            return
        if refused is not None:
            self._stored.set_exception(Unavailable(f"JetStream did not store a message: {refused}", retry_after=1))
        elif not self._waiting:
            self._stored.set_result(None)


def _refusal(message: Msg) -> str | None:
    if message.headers and message.headers.get("Status") == _NO_RESPONDERS:
        return "no stream has this subject"
    error = _decode(message.data).error
    return None if error is None else error.description
