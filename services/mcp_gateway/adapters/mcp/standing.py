"""The stream on which a server of the handshake era asks its client by HTTP what belongs to no answer (GET)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from services.mcp_gateway.errors import ProtocolViolation, ServerDied, ServerUnavailable
from services.mcp_gateway.limits import STANDING_RETRY_SECONDS, STANDING_RETRY_SECONDS_MAX, STANDING_STABLE_SECONDS

_log = logging.getLogger(__name__)

# Refusals that need not last: 404 is a session that was lost, and is opened anew by the next call.
_PASSING = frozenset({404, 408, 425, 429})


async def keep_open(attempt: Callable[[], Awaitable[float | None]]) -> None:
    """Open the stream again whenever it ends, until the server refuses it.

    `attempt` follows the stream to its end and returns how many seconds the server wants to be left alone, if it said
    so. It raises `ServerUnavailable` with `http_status` for a refusal, `ServerDied` and `ProtocolViolation`.
    """
    loop = asyncio.get_running_loop()
    failures = 0
    while True:
        began = loop.time()
        wanted = None
        try:
            wanted = await attempt()
        except ServerUnavailable as refusal:
            status = refusal.details.get("http_status", 500)
            if status < 500 and status not in _PASSING:  # noqa: PLR2004 - from here on it is the server's fault
                return
        except ServerDied as error:
            _log.debug("a standing stream broke: %s", error.message)
        except ProtocolViolation as violation:
            _log.info("a standing stream ended its session: %s", violation.message)
            return
        failures = 0 if loop.time() - began >= STANDING_STABLE_SECONDS else failures + 1
        backoff = STANDING_RETRY_SECONDS * 2 ** min(failures, 16)
        await asyncio.sleep(min(max(wanted or 0.0, backoff), STANDING_RETRY_SECONDS_MAX))
