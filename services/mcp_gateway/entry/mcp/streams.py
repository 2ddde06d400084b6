"""Answers over HTTP: as JSON when there is nothing to say before the result, else as an event stream."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

import msgspec

from services.mcp_gateway.entry.mcp.frames import Frames
from services.mcp_gateway.limits import MCP_GONE_LOOK_SECONDS, MCP_PING_SECONDS

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

JSON = (b"content-type", b"application/json")
_EVENTS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


class Answer(msgspec.Struct, frozen=True):
    """An encoded JSON-RPC response, and the HTTP status that it has when nothing was said before it."""

    body: bytes
    status: int = 200


async def send_whole(
    send: Send, status: int, body: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    """Send an answer in one piece."""
    sized = [*(headers or []), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": sized})
    await send({"type": "http.response.body", "body": body})


async def answer_plainly(send: Send, receive: Receive, work: Coroutine[Any, Any, Answer]) -> None:
    """Answer with JSON. When the client goes away meanwhile, the work is cancelled.

    Nearly all work is over before it is worth looking whether the client is still there.
    """
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    watcher: list[asyncio.Task[None]] = []

    async def watch() -> None:
        await until_gone(receive)
        if task is not None:
            task.cancel()

    look = loop.call_later(MCP_GONE_LOOK_SECONDS, lambda: watcher.append(loop.create_task(watch())))
    try:
        answer = await work
    finally:
        look.cancel()
        for watching in watcher:
            watching.cancel()
    await _send_json(send, answer)


async def answer_with_frames(
    send: Send, receive: Receive, work: "asyncio.Task[Answer]", frames: Frames, opening: bytes, *, cancel: bool
) -> None:
    """Answer with JSON if the work ends before anything was said, else stream. `opening`: how a stream begins.

    `cancel`: a client that goes away takes its request back. Else the work goes on, and its end stays in `frames`.
    """
    gone: asyncio.Task[None] | None = None
    said: set[asyncio.Future[Any]] = {work, frames.first()}
    try:
        # Nearly all calls end soon and say nothing: they need no look at whether the client is still there.
        await asyncio.wait(said, timeout=MCP_GONE_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not work.done() and frames.said == 0:
            gone = asyncio.create_task(until_gone(receive))
            await asyncio.wait({*said, gone}, timeout=MCP_PING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if work.done() and frames.said == 0:
            await _send_json(send, work.result())
            return
        work.add_done_callback(lambda ended: _put_result(ended, frames))
        gone = gone if gone is not None else asyncio.create_task(until_gone(receive))
        if not gone.done():
            await stream(send, gone, frames, opening)
    finally:
        if cancel and not work.done():
            work.cancel()
        if gone is not None:
            gone.cancel()


async def _send_json(send: Send, answer: Answer) -> None:
    await send_whole(send, answer.status, answer.body, [JSON])


async def stream(
    send: Send,
    gone: "asyncio.Task[None]",
    frames: Frames,
    opening: bytes = b"",
    *,
    number: int = 0,
    last: bytes | None = None,
) -> None:
    """Send what is said after the first `number` messages until the end, or until the client is gone.

    `last` is said once the frames have ended.
    """
    await send({"type": "http.response.start", "status": 200, "headers": _EVENTS})
    await send({"type": "http.response.body", "body": opening or b": open\n\n", "more_body": True})
    while not gone.done():
        events, number = frames.take(number)
        if events:
            await send({"type": "http.response.body", "body": events, "more_body": True})
        elif frames.ended:
            break
        else:
            news = asyncio.create_task(frames.news())
            await asyncio.wait({news, gone}, timeout=MCP_PING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not news.done():
                news.cancel()
                if not gone.done():
                    await send({"type": "http.response.body", "body": b": ping\n\n", "more_body": True})
    closing = b"" if last is None or gone.done() else b"event: message\ndata: " + last + b"\n\n"
    await send({"type": "http.response.body", "body": closing})


async def until_gone(receive: Receive) -> None:
    """Return when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _put_result(work: "asyncio.Task[Answer]", frames: Frames) -> None:
    if not work.cancelled() and work.exception() is None:
        frames.put(work.result().body)
    frames.end()
