"""`X-Event-Position` of a write, sent back as `X-Min-Event-Position` of a read: clients read their own writes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request

from shared.errors import InvalidInput, Unavailable
from shared.limits import POSITION_MAX_DIGITS, READ_OWN_WRITES_POLL_S, READ_OWN_WRITES_WAIT_S

EVENT_POSITION = "X-Event-Position"
MIN_EVENT_POSITION = "X-Min-Event-Position"


async def reached(request: Request[Any, Any, Any], position: Callable[[], Awaitable[int]]) -> None:
    """Wait until a read model, which stands at `position`, has read what the request wants to see.

    Raises `Unavailable` if it has not within two seconds, and `InvalidInput` for a header that is no position.
    """
    wanted = request.headers.get(MIN_EVENT_POSITION)
    if wanted is None:
        return
    if not wanted.isdecimal() or len(wanted) > POSITION_MAX_DIGITS:
        raise InvalidInput(f"{MIN_EVENT_POSITION} is what a write answered as {EVENT_POSITION}.")
    try:
        async with asyncio.timeout(READ_OWN_WRITES_WAIT_S):
            while await position() < int(wanted):  # noqa: ASYNC110 - another process may move it
                await asyncio.sleep(READ_OWN_WRITES_POLL_S)
    except TimeoutError as error:
        raise Unavailable(f"The read model has not reached {wanted} yet: try again.", retry_after=1) from error
