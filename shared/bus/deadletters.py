"""Messages that can never be done are kept in the stream `DEADLETTER`, with where they were and why."""

import logging
from collections.abc import Mapping

from nats.aio.client import Client

_log = logging.getLogger(__name__)
_REASON_MAX_CHARS = 1_000


async def bury(
    client: Client, service: str, subject: str, body: bytes, why: str, headers: Mapping[str, str] | None = None
) -> None:
    """Publish a message to `deadletter.<service>`; return once it is stored. Raises what JetStream refuses."""
    kept = {name: value for name, value in (headers or {}).items() if name != "Nats-Msg-Id"}
    kept["agentic-subject"] = subject
    kept["agentic-reason"] = " ".join(why.split())[:_REASON_MAX_CHARS]  # a header is one line
    await client.jetstream().publish(f"deadletter.{service}", body, headers=kept)
    _log.warning("%s: a message on %s went to the dead letters: %s", service, subject, why)
