"""Sessions with servers elsewhere, over streamable HTTP: one POST per request, answered by JSON or an event stream."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx2
from msgspec import UNSET, Raw

from services.mcp_gateway.adapters.mcp.access_tokens import authorized
from services.mcp_gateway.adapters.mcp.codec import (
    decode_incoming,
    encode_notification,
    encode_request,
)
from services.mcp_gateway.adapters.mcp.event_stream import EventStreamParser
from services.mcp_gateway.adapters.mcp.following import listening_for, subscribe_all
from services.mcp_gateway.adapters.mcp.http_client import (
    UNREACHED,
    ClientFactory,
    Overloaded,
    kind_of,
    opened,
    read,
    refusal_of,
    said,
)
from services.mcp_gateway.adapters.mcp.http_headers import modern_headers, param_headers_by_tool
from services.mcp_gateway.adapters.mcp.launch import HttpLaunch
from services.mcp_gateway.adapters.mcp.model import Opening, ToolDefinition, ToolResult
from services.mcp_gateway.adapters.mcp.oauth import TokensFor, tokens_for
from services.mcp_gateway.adapters.mcp.session import McpSession
from services.mcp_gateway.adapters.mcp.standing import keep_open
from services.mcp_gateway.app.relay import Relay
from services.mcp_gateway.domain.param_annotations import annotation_fault
from services.mcp_gateway.domain.param_headers import ParamHeaders
from services.mcp_gateway.domain.rpc import HEADER_MISMATCH, INTERNAL_ERROR, Message, RpcError, RpcFailed
from services.mcp_gateway.errors import ProtocolViolation, ResultTooLarge, ServerDied, ServerUnavailable
from services.mcp_gateway.limits import (
    FOLLOW_SECONDS,
    HTTP_CLOSE_SECONDS,
    HTTP_ERROR_BODY_MAX_BYTES,
    HTTP_REPLIES_MAX,
    HTTP_RESUME_DELAY_SECONDS_MAX,
    HTTP_RESUMES_MAX,
    HTTP_STREAM_END_SECONDS,
    MESSAGE_MAX_BYTES,
)

_log = logging.getLogger(__name__)


class _SessionLost(Exception):
    """The server does not know our session id any more (404): nothing of the request was done."""


class HttpSession(McpSession):
    """A conversation by HTTP. Each request is an exchange of its own; only handshake-era servers keep a session."""

    def __init__(
        self, launch: HttpLaunch, client_factory: ClientFactory, opening: Opening, tokens: TokensFor = tokens_for
    ) -> None:
        super().__init__(opening)
        self._url = launch.url
        self._headers = {
            **{name.lower(): value for name, value in launch.headers.items()},
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            # A compressed answer could unpack to any size before it can be measured.
            "accept-encoding": "identity",
        }
        self._client = client_factory()
        self._tokens = tokens(launch, self._client)
        self._last_id = 0
        self._session_id: str | None = None
        self._reopening = asyncio.Lock()
        self._param_headers: dict[str, ParamHeaders] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._standing: asyncio.Task[None] | None = None
        self._streams_linger = False
        self._closed = False

    @classmethod
    async def connect(
        cls,
        launch: HttpLaunch,
        *,
        client_factory: ClientFactory = httpx2.AsyncClient,
        opening: Opening | None = None,
        tokens: TokensFor = tokens_for,
    ) -> "HttpSession":
        """Reach the server and agree on a protocol revision.

        Without an era in `opening` the stateless one is tried first: the header that names it is what older servers
        refuse by, and it costs them no session. Raises `ServerUnavailable` or `ProtocolViolation`.
        """
        opening = opening if opening is not None else Opening()
        session = cls(launch, client_factory, opening, tokens)
        try:
            await session._negotiate(("handshake", "modern") if opening.era == "handshake" else ("modern", "handshake"))
        except BaseException:
            await asyncio.shield(session.close())
            raise
        if session._offered and not session._modern:
            session._standing = asyncio.get_running_loop().create_task(keep_open(session._listen))
        return session

    @property
    def alive(self) -> bool:
        return not self._closed

    async def close(self) -> None:
        if self._closed and self._client.is_closed:
            return
        self._closed = True
        self._unasked.close()
        if self._standing is not None:
            self._standing.cancel()
        try:
            if self._session_id is not None:
                async with (
                    asyncio.timeout(HTTP_CLOSE_SECONDS),
                    self._stream("DELETE", None, self._request_headers("", {})),
                ):
                    pass
        except (httpx2.HTTPError, ServerUnavailable, ProtocolViolation, TimeoutError) as error:
            _log.info("the session with %s could not be ended there: %r", self._url, error)
        finally:
            for task in self._background:
                task.cancel()
            await self._client.aclose()

    async def follow(self, uris: frozenset[str]) -> None:
        if self._modern:
            await self._exchange("subscriptions/listen", listening_for(uris), FOLLOW_SECONDS)
            return
        listening = asyncio.create_task(self._listen())
        try:
            await subscribe_all(self._exchange, uris)
            await listening
        finally:
            listening.cancel()

    async def _listen(self) -> float | None:
        """Read the stream of what belongs to no request, and return the seconds that its server wants before the next.

        Raises `ServerUnavailable` if there is none, since a server need not have one (405), and `ServerDied`.
        """
        headers = {**self._request_headers("", {}), "accept": "text/event-stream"}
        events = EventStreamParser(bounded=False)
        try:
            async with self._stream("GET", None, headers) as response:
                status = response.status_code
                if status != 200 or kind_of(response) != "text/event-stream":  # noqa: PLR2004 - OK
                    raise ServerUnavailable(
                        f"The server has no stream of notices (HTTP {status}).", details={"http_status": status}
                    )
                async for chunk in response.aiter_raw():
                    for event in events.feed(chunk):
                        message = decode_incoming(event.data) if event.data else None
                        if message is not None and message.method is not UNSET:
                            self._unasked.take(message, message.method)
        except httpx2.HTTPError as error:
            raise ServerDied(f"The stream of notices broke: {said(error)}.") from error
        except ProtocolViolation:
            self._closed = True
            raise
        return None if events.retry_ms is None else events.retry_ms / 1000.0

    async def call_tool(
        self,
        name: str,
        arguments: dict[str, Any],
        *,
        timeout: float,  # noqa: ASYNC109 - as in the base class
        relay: Relay | None = None,
    ) -> ToolResult:
        try:
            return await super().call_tool(name, arguments, timeout=timeout, relay=relay)
        except Overloaded as refusal:
            if not refusal.maybe_passed_on:
                raise
            raise ServerDied(refusal.message, details=refusal.details, retry_after=refusal.retry_after) from refusal

    def _kept_tools(self, tools: list[ToolDefinition]) -> list[ToolDefinition]:
        tools = super()._kept_tools(tools)
        if self._modern:
            tools = [tool for tool in tools if self._is_well_annotated(tool)]
            self._param_headers = param_headers_by_tool(tools)
        return tools

    def _is_well_annotated(self, tool: ToolDefinition) -> bool:
        fault = annotation_fault(tool.input_schema)
        if fault is not None:
            _log.warning("the tool %r of %s is left out: %s", tool.name, self._url, fault)
        return fault is None

    async def _exchange(self, method: str, params: dict[str, Any], seconds: float, relay: Relay | None = None) -> Raw:
        async with asyncio.timeout(seconds):
            session_id = self._session_id
            try:
                return await self._attempt(method, params, relay)
            except _SessionLost:
                await self._reopen(session_id)
            except RpcFailed as failure:
                # We may not have known which arguments the tool wants in headers. The call was refused unseen.
                if failure.error.code != HEADER_MISMATCH or method != "tools/call" or self._tool_names is not None:
                    raise
                await self.list_tools()
            try:
                return await self._attempt(method, params, relay)
            except _SessionLost as lost:
                raise ServerUnavailable("The server forgets its sessions as soon as they are opened.") from lost

    async def _reopen(self, lost: str | None) -> None:
        async with self._reopening:
            if self._session_id == lost:
                self._session_id = None
                try:
                    await self._initialize()
                except RpcFailed as failure:
                    raise ServerUnavailable("The server ended the session and opens no other.") from failure

    async def _attempt(self, method: str, params: dict[str, Any], relay: Relay | None) -> Raw:
        if self._closed:
            raise ServerUnavailable("The session with this server has ended.")
        self._last_id = request_id = self._last_id + 1
        body = encode_request(request_id, method, params, modern=self._modern, relay=relay)
        try:
            answer = await self._followed(relay, request_id, body, self._request_headers(method, params))
        except asyncio.CancelledError:
            # In the modern era the closed response is the cancellation; before it, a notification is.
            if not self._modern and method != "initialize" and not self._closed:
                self._send_later(encode_notification("notifications/cancelled", {"requestId": request_id}))
            raise
        except ProtocolViolation:
            self._closed = True
            raise
        except UNREACHED as error:
            raise ServerUnavailable(f"The server cannot be reached: {said(error)}.") from error
        except httpx2.HTTPError as error:
            raise ServerDied(f"The connection broke before the answer came: {said(error)}.") from error
        if answer.error is not UNSET:
            raise RpcFailed(answer.error)
        if answer.result is UNSET:
            raise ProtocolViolation("The server sent a response with neither result nor error.")
        return answer.result

    async def _followed(self, relay: Relay | None, request_id: int, body: bytes, headers: dict[str, str]) -> Message:
        if relay is None:
            return await self._converse(request_id, body, headers)
        self._unasked.begin(request_id, relay)
        try:
            return await self._converse(request_id, body, headers)
        finally:
            self._unasked.end(request_id)

    async def _converse(self, request_id: int, body: bytes, headers: dict[str, str]) -> Message:
        events = EventStreamParser()
        answer = await self._converse_once(request_id, "POST", body, headers, events)
        resumes = 0
        while answer is None:
            # A server may end the stream early and let the client come back for the rest (2025-11-25, polling).
            if events.last_id is None or resumes >= HTTP_RESUMES_MAX:
                raise ServerDied("The server ended its answer before the result.")
            resumes += 1
            await asyncio.sleep(min((events.retry_ms or 0) / 1000.0, HTTP_RESUME_DELAY_SECONDS_MAX))
            resume = {**headers, "last-event-id": events.last_id, "accept": "text/event-stream"}
            try:
                answer = await self._converse_once(request_id, "GET", None, resume, events)
            except (_SessionLost, ServerUnavailable, *UNREACHED) as error:
                # The request itself was taken: nothing that is wrong now may look like a refusal of it.
                raise ServerDied("The server ended its answer before the result, and gives no rest of it.") from error
        return answer

    async def _converse_once(
        self, request_id: int, verb: str, body: bytes | None, headers: dict[str, str], events: EventStreamParser
    ) -> Message | None:
        async with self._stream(verb, body, headers) as response:
            if response.status_code != 200:  # noqa: PLR2004 - OK
                return await self._refusal(response)
            if not self._modern:
                self._session_id = response.headers.get("mcp-session-id", self._session_id)
            kind = kind_of(response)
            if kind == "application/json":
                answer = decode_incoming(await read(response, MESSAGE_MAX_BYTES))
                if not self._is_answer(answer, request_id):
                    raise ProtocolViolation("The server answered with something that is no response.")
                return answer
            if kind != "text/event-stream":
                raise ProtocolViolation(f"The server answered with {kind[:80]!r}, which is neither JSON nor events.")
            chunks = response.aiter_raw()
            async for chunk in chunks:
                for event in events.feed(chunk):
                    message = decode_incoming(event.data) if event.data else None
                    if message is not None and self._is_answer(message, request_id):
                        await self._finish_stream(chunks)
                        return message
        return None

    async def _finish_stream(self, chunks: AsyncIterator[bytes]) -> None:
        """Read the end of an answered stream, so that its connection can carry the next call.

        Servers end the stream at once after the answer; for one that does not, it is not waited again.
        """
        if self._streams_linger:
            return
        try:
            async with asyncio.timeout(HTTP_STREAM_END_SECONDS):
                async for _ in chunks:
                    pass
        except TimeoutError:
            self._streams_linger = True

    def _is_answer(self, message: Message, request_id: int) -> bool:
        if message.method is not UNSET:
            self._unasked.take(message, message.method, request_id)
            return False
        if message.id != request_id and not (message.id is None and message.error is not UNSET):
            raise ProtocolViolation(f"The server answered a request that was not asked ({str(message.id)[:40]!r}).")
        return True

    async def _refusal(self, response: httpx2.Response) -> Message:
        """Return the JSON-RPC error that came with the status, or raise what the status means."""
        status = response.status_code
        if status == 404 and self._session_id is not None:  # noqa: PLR2004 - not found
            raise _SessionLost
        refusal = refusal_of(response)
        if refusal is not None:
            raise refusal
        if response.headers.get("content-type", "").startswith("application/json"):
            try:
                answer = decode_incoming(await read(response, HTTP_ERROR_BODY_MAX_BYTES))
            except (ProtocolViolation, ResultTooLarge):
                _log.debug("the body of an HTTP %d was no JSON-RPC", status)
            else:
                if answer.error is not UNSET:
                    return answer
        raise RpcFailed(RpcError(INTERNAL_ERROR, f"The server answered with HTTP {status}."))

    async def _notify(self, method: str) -> None:
        await self._post_and_forget(encode_notification(method))

    def _reply(self, message: bytes) -> None:
        if not self._modern and not self._closed:  # the modern era has no requests from server to client
            self._send_later(message)

    def _send_later(self, body: bytes) -> None:
        if len(self._background) >= HTTP_REPLIES_MAX:
            self._closed = True
            raise ProtocolViolation("The server asks and does not take the answers.")
        task = asyncio.get_running_loop().create_task(self._post_and_forget(body))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _post_and_forget(self, body: bytes) -> None:
        try:
            async with (
                asyncio.timeout(HTTP_CLOSE_SECONDS),
                self._stream("POST", body, self._request_headers("", {})) as response,
            ):
                if response.is_error:
                    _log.info("%s refused a notification: HTTP %d", self._url, response.status_code)
        except (httpx2.HTTPError, TimeoutError) as error:
            _log.info("a notification to %s was lost: %r", self._url, error)

    def _request_headers(self, method: str, params: dict[str, Any]) -> dict[str, str]:
        headers = dict(self._headers)
        if self._modern:
            headers |= modern_headers(method, params, self._param_headers.get(params.get("name", "")))
        elif method != "initialize":
            headers["mcp-protocol-version"] = self.protocol_version
            if self._session_id is not None:
                headers["mcp-session-id"] = self._session_id
        return headers

    def _stream(
        self, verb: str, body: bytes | None, headers: dict[str, str]
    ) -> AbstractAsyncContextManager[httpx2.Response]:
        if self._tokens is not None:
            return authorized(self._tokens, self._client, verb, self._url, body, headers)
        return opened(self._client, verb, self._url, body, headers)
