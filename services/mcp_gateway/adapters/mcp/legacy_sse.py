"""Sessions by HTTP with SSE (MCP 2024-11-05): a GET opens the stream of all answers, and says where to POST."""

import asyncio
import logging
from functools import partial

import httpx2

from services.mcp_gateway.adapters.mcp.codec import encode_notification
from services.mcp_gateway.adapters.mcp.event_stream import EventStreamParser, ServerEvent
from services.mcp_gateway.adapters.mcp.http_client import (
    UNREACHED,
    ClientFactory,
    Overloaded,
    opened,
    read,
    refusal_of,
    said,
)
from services.mcp_gateway.adapters.mcp.launch import SseLaunch
from services.mcp_gateway.adapters.mcp.model import Opening
from services.mcp_gateway.adapters.mcp.multiplexed import Answer, MultiplexedSession
from services.mcp_gateway.domain.rpc import INTERNAL_ERROR, RpcError, RpcFailed
from services.mcp_gateway.errors import ProtocolViolation, ResultTooLarge, ServerDied, ServerUnavailable
from services.mcp_gateway.limits import (
    HTTP_CLOSE_SECONDS,
    HTTP_ENDPOINT_MAX_CHARS,
    HTTP_ERROR_BODY_MAX_BYTES,
    HTTP_POSTS_MAX,
    START_SECONDS,
)
from shared.errors import PlatformError

_log = logging.getLogger(__name__)

_FORGOTTEN = frozenset({404, 410})


class _SessionLost(ServerUnavailable):
    """The server does not know the session any more: nothing of the message was done."""


class LegacySseSession(MultiplexedSession):
    """A conversation that lasts as long as its stream. It is not resumed: what waits fails when the stream ends."""

    def __init__(self, launch: SseLaunch, client_factory: ClientFactory, opening: Opening) -> None:
        super().__init__(opening)
        self._url = httpx2.URL(launch.url)
        # A compressed answer could unpack to any size before it can be measured.
        own = {"accept-encoding": "identity", "cache-control": "no-store"}
        self._headers = {**{name.lower(): value for name, value in launch.headers.items()}, **own}
        self._client = client_factory()
        self._endpoint: asyncio.Future[str] = self._loop.create_future()
        self._reader: asyncio.Task[None] | None = None
        self._posts: set[asyncio.Task[None]] = set()

    @classmethod
    async def connect(
        cls, launch: SseLaunch, *, client_factory: ClientFactory = httpx2.AsyncClient, opening: Opening | None = None
    ) -> "LegacySseSession":
        """Open the stream and agree on a protocol revision. Raises `ServerUnavailable` or `ProtocolViolation`."""
        session = cls(launch, client_factory, opening if opening is not None else Opening())
        try:
            await session._open()
        except BaseException:
            await asyncio.shield(session.close())
            raise
        return session

    async def close(self) -> None:
        self._finish(ServerDied("The session was closed."))
        self._abort()
        tasks = [*self._posts, *([self._reader] if self._reader is not None else [])]
        if tasks:
            await asyncio.wait(tasks)
        await self._client.aclose()

    async def _open(self) -> None:
        self._reader = self._loop.create_task(self._listen())
        try:
            async with asyncio.timeout(START_SECONDS):
                await asyncio.shield(self._endpoint)
            await self._negotiate(("handshake",))
        except TimeoutError as error:
            raise ServerUnavailable(f"The server did not say within {START_SECONDS:g} s where to send.") from error
        except ServerDied as death:
            raise ServerUnavailable("The server ended before it was ready.", details=death.details) from death

    async def _listen(self) -> None:
        """Read the stream until it ends, and with it the session."""
        try:
            headers = {**self._headers, "accept": "text/event-stream"}
            async with opened(self._client, "GET", str(self._url), None, headers) as response:
                _check_stream(response)
                events = EventStreamParser()
                async for chunk in response.aiter_raw():
                    for event in events.feed(chunk):
                        if self._take(event):
                            events.begin_anew()
            self._finish(ServerDied("The server ended its stream."))
        except PlatformError as error:
            self._finish(error)
        except UNREACHED as error:
            self._finish(ServerUnavailable(f"The server cannot be reached: {said(error)}."))
        except httpx2.HTTPError as error:
            self._finish(ServerDied(f"The stream of the server broke: {said(error)}."))
        finally:
            self._finish(ServerDied("The server's stream is not read any more."))

    def _take(self, event: ServerEvent) -> bool:
        """Take one event and return whether a request waited for it."""
        if event.name == "message":
            return self._receive(event.data)
        self._unasked.count()
        if event.name == "endpoint":
            self._take_endpoint(event.data)
        return False

    def _take_endpoint(self, data: bytes) -> None:
        """Settle where messages go: on the server's own origin, or it could make us send anything anywhere."""
        if self._endpoint.done():
            raise ProtocolViolation("The server said twice where to send.")
        try:
            endpoint = self._url.join(data.decode("ascii"))
        except (httpx2.InvalidURL, ValueError) as error:
            raise ProtocolViolation("The server said to send to something that is no URL.") from error
        if len(data) > HTTP_ENDPOINT_MAX_CHARS or endpoint.userinfo or _origin(endpoint) != _origin(self._url):
            raise ProtocolViolation("The server said to send to another place than its own address.")
        self._endpoint.set_result(str(endpoint))

    @property
    def _congested(self) -> bool:
        return len(self._posts) >= HTTP_POSTS_MAX

    def _write(self, message: bytes, answer: Answer | None = None) -> None:
        post = self._loop.create_task(self._post(message, answer))
        self._posts.add(post)
        post.add_done_callback(self._posts.discard)
        if answer is None:
            self._loop.call_later(HTTP_CLOSE_SECONDS, post.cancel)
        else:
            answer.add_done_callback(partial(self._settle, post))

    def _settle(self, post: asyncio.Task[None], answer: Answer) -> None:
        """End the request once its answer is there: it is late if it still runs, or of no use if nobody waits."""
        if post.done():
            return
        if answer.cancelled() or answer.exception() is not None:
            post.cancel()
        else:
            self._loop.call_later(HTTP_CLOSE_SECONDS, post.cancel)

    async def _post(self, message: bytes, answer: Answer | None) -> None:
        failure = await self._delivered(message)
        if failure is not None and answer is not None and not answer.done():
            answer.set_exception(failure)
        self._end_if_lost(failure)

    def _end_if_lost(self, failure: Exception | None) -> None:
        """End a session that the server forgot: of what was sent before it is not known whether it was done."""
        if isinstance(failure, _SessionLost):
            self._finish(ServerDied(failure.message, details=failure.details))
            self._abort()

    async def _delivered(self, message: bytes) -> Exception | None:
        """Send a message, and return why it did not arrive, or may not have."""
        headers = {**self._headers, "content-type": "application/json"}
        try:
            async with opened(self._client, "POST", self._endpoint.result(), message, headers) as response:
                failure = self._failure(response)
                await read(response, HTTP_ERROR_BODY_MAX_BYTES)  # so that its connection can carry the next one
        except ResultTooLarge:
            return failure
        except PlatformError as error:
            return error
        except UNREACHED as error:
            return ServerUnavailable(f"The server cannot be reached: {said(error)}.")
        except httpx2.HTTPError as error:
            return ServerDied(f"The connection broke before the server had taken the message: {said(error)}.")
        return failure

    @staticmethod
    def _failure(response: httpx2.Response) -> Exception | None:
        if response.is_success:
            return None
        status = response.status_code
        if status in _FORGOTTEN:
            return _SessionLost("The server does not know the session any more.", details={"http_status": status})
        refusal = refusal_of(response)
        if isinstance(refusal, Overloaded) and refusal.maybe_passed_on:
            return ServerDied(refusal.message, details=refusal.details, retry_after=refusal.retry_after)
        return refusal or RpcFailed(RpcError(INTERNAL_ERROR, f"The server answered with HTTP {status}."))

    async def _notify(self, method: str) -> None:
        try:
            async with asyncio.timeout(HTTP_CLOSE_SECONDS):
                failure = await self._delivered(encode_notification(method))
        except TimeoutError as error:
            failure = error
        if failure is not None:
            _log.info("a notification to %s was lost: %r", self._url, failure)
        self._end_if_lost(failure)

    def _abort(self) -> None:
        for task in (*self._posts, self._reader):
            if task is not None and task is not asyncio.current_task():
                task.cancel()

    def _finish(self, why: PlatformError) -> None:
        super()._finish(why)
        if not self._endpoint.done():
            self._endpoint.set_exception(why)
            self._endpoint.exception()  # seen: nobody may wait for it any more


def _check_stream(response: httpx2.Response) -> None:
    """Raise `ServerUnavailable` for an answer that is no stream of events."""
    refusal = refusal_of(response)
    if refusal is not None:
        raise refusal
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.status_code != 200 or kind != "text/event-stream":  # noqa: PLR2004 - OK
        raise ServerUnavailable(
            f"The server answered with HTTP {response.status_code} and {kind[:80]!r} instead of a stream of events.",
            details={"http_status": response.status_code},
        )


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
