"""Reading the bodies of requests: bounded each, together, and in time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from uvicorn._types import ASGIReceiveCallable

from services.mcp_gateway.limits import (
    SERVER_HTTP_BODIES_MAX_BYTES,
    SERVER_HTTP_BODY_SECONDS,
    SERVER_MESSAGE_MAX_BYTES,
)
from services.mcp_gateway.servers.streamable_http.refusals import HttpRefused


class ClientGone(Exception):
    """The client closed the connection: there is nobody to answer."""


class Intake:
    """Counts what all requests together hold in memory."""

    def __init__(self) -> None:
        self._held = 0

    @asynccontextmanager
    async def body(self, headers: dict[str, str], receive: ASGIReceiveCallable) -> AsyncIterator[bytes]:
        """Give a request's body, which counts while it is held. Raises `HttpRefused` or `ClientGone`."""
        if int(headers.get("content-length", "0")) > SERVER_MESSAGE_MAX_BYTES:
            raise _too_large()
        body = bytearray()
        try:
            try:
                async with asyncio.timeout(SERVER_HTTP_BODY_SECONDS):
                    async for part in _parts(receive):
                        body += part
                        self._held += len(part)
                        self._check(len(body))
            except TimeoutError:
                late = f"A request has {SERVER_HTTP_BODY_SECONDS:g} s to arrive."
                raise HttpRefused(HTTPStatus.REQUEST_TIMEOUT, late, headers=_CLOSE) from None
            yield bytes(body)
        finally:
            self._held -= len(body)

    def _check(self, size: int) -> None:
        if size > SERVER_MESSAGE_MAX_BYTES:
            raise _too_large()
        if self._held > SERVER_HTTP_BODIES_MAX_BYTES:
            later = {"retry-after": "1", **_CLOSE}
            raise HttpRefused(HTTPStatus.SERVICE_UNAVAILABLE, "Too much is sent at once.", headers=later)


async def _parts(receive: ASGIReceiveCallable) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        yield message["body"]
        more = message["more_body"]


_CLOSE = {"connection": "close"}  # what is left of the body is not read


def _too_large() -> HttpRefused:
    return HttpRefused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"A message has at most {SERVER_MESSAGE_MAX_BYTES} bytes",
        headers=_CLOSE,
    )
