"""Tells those who tail a service's log that there is more: at once in this process, over NATS in the others."""

import asyncio
from typing import Self

from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.limits import TAIL_POLL_S, WAKE_INTERVAL_S

_FACTS = b"facts"


class Waker:
    """One a process and service. A wake-up may be lost (the tails also look by themselves each second).

    Most commits hold no public event: whoever only follows those is not woken by the others.
    """

    def __init__(self, service: str) -> None:
        self._subject = f"wake.{service}"
        self._of_all: set[asyncio.Event] = set()
        self._of_facts: set[asyncio.Event] = set()
        self._client: Client | None = None
        self._said_at = 0.0
        self._facts_unsaid = False
        self._later: asyncio.TimerHandle | None = None

    async def connect(self, client: Client) -> None:
        """Hear of commits in other processes, and tell them of ours."""
        self._client = client

        async def on_wake(message: Msg) -> None:
            self._set(facts=message.data == _FACTS)

        await client.subscribe(self._subject, cb=on_wake)

    def wake(self, *, facts: bool = True) -> None:
        """Say that something was committed, with public events (`facts`) or without.

        Cheap: over NATS it is said at most 100 times a second.
        """
        self._set(facts=facts)
        self._facts_unsaid |= facts
        if self._client is None or self._later is not None:
            return
        loop = asyncio.get_running_loop()
        pause = self._said_at + WAKE_INTERVAL_S - loop.time()
        self._later = loop.call_later(max(0.0, pause), self._say)

    def listener(self, *, facts: bool = False) -> "Listener":
        """Return something to wait on: for any commit, or for those with public events."""
        return Listener(self._of_facts if facts else self._of_all)

    def _say(self) -> None:
        self._later = None
        loop = asyncio.get_running_loop()
        self._said_at = loop.time()
        if self._client is not None and self._client.is_connected:
            body = _FACTS if self._facts_unsaid else b""
            self._saying = loop.create_task(self._client.publish(self._subject, body))
        self._facts_unsaid = False

    def _set(self, *, facts: bool) -> None:
        for event in self._of_all:
            event.set()
        if facts:
            for event in self._of_facts:
                event.set()


class Listener:
    """Waits for the next commit. Use as a context manager, so that it is forgotten in the end."""

    def __init__(self, registry: set[asyncio.Event]) -> None:
        self._registry = registry
        self._event = asyncio.Event()

    def __enter__(self) -> Self:
        self._registry.add(self._event)
        return self

    def __exit__(self, *_: object) -> None:
        self._registry.discard(self._event)

    async def wait(self, seconds: float = TAIL_POLL_S) -> None:
        """Return when something was committed since the last call, or after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
        finally:
            self._event.clear()
