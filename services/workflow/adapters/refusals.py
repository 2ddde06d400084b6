"""Where what can never be done is kept for people to look at."""

from collections.abc import Callable

from nats.aio.client import Client
from nats.errors import Error as NatsError

from shared.bus.deadletters import bury
from shared.errors import Unavailable


class DeadLetters:
    """`Bury` over the stream `DEADLETTER`. Raises `Unavailable` while NATS is away."""

    def __init__(self, service: str, client: Callable[[], Client]) -> None:
        self._service = service
        self._client = client

    async def __call__(self, subject: str, body: bytes, why: str) -> None:
        """Return once it is kept."""
        try:
            await bury(self._client(), self._service, subject, body, why)
        except (NatsError, TimeoutError, OSError) as error:
            raise Unavailable(f"{subject} cannot be kept aside now: {error!r}", retry_after=1) from error
