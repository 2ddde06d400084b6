"""One execution: as it stands, its recorded events, and its events as they happen."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import msgspec

from infra.cli.api import Api
from infra.cli.errors import Unreachable, reason
from infra.cli.limits import EVENTS_PAGE, STREAM_REOPEN_DELAY, STREAM_REOPENED
from infra.cli.shapes import Event, EventPage, Execution

_LAST = frozenset({"execution-completed", "execution-failed", "execution-cancelled"})


def path_of(execution_id: str) -> str:
    return f"/workflows/workflows/executions/{execution_id}"


async def execution_of(api: Api, execution_id: str) -> Execution:
    """Return the execution with its steps."""
    return await api.get(path_of(execution_id), Execution)


async def recorded(api: Api, execution_id: str) -> AsyncIterator[Event]:
    """Yield the whole history."""
    after: int | None = 0
    while after is not None:
        page = await api.get(f"{path_of(execution_id)}/events", EventPage, after=after, limit=EVENTS_PAGE)
        for event in page.events:
            yield event
        after = page.next_after


async def follow(api: Api, execution_id: str) -> AsyncIterator[Event]:
    """Yield the events from the first to the one that ends the execution.

    A stream that breaks is opened again behind the last event that was seen; after a few vain attempts `Unreachable`.
    """
    last_seen: str | None = None
    vain = 0
    while True:
        try:
            async with api.stream(f"{path_of(execution_id)}/stream", last_seen) as source:
                async for message in source:
                    if not message.data:
                        continue
                    event = msgspec.json.decode(message.data, type=Event)
                    last_seen, vain = message.id or last_seen, 0
                    yield event
                    if _name(event.type) in _LAST:
                        return
        except httpx2.TransportError as error:
            if vain >= STREAM_REOPENED:
                raise Unreachable(f"The event stream at {api.url} broke {vain} times: {reason(error)}.") from error
        else:
            if (await execution_of(api, execution_id)).ended:
                return
        vain += 1
        await asyncio.sleep(STREAM_REOPEN_DELAY)


def _name(event_type: str) -> str:
    """Return `execution-completed` of `workflow.execution-completed.v1`."""
    return event_type.split(".")[1] if event_type.count(".") > 1 else event_type
