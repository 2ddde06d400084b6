"""`/mcp` and `/mcp/{profile}`: what is checked of every HTTP request before its era answers it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote, urlsplit

from litestar.types import ASGIApp
from msgspec import UNSET

from services.mcp_gateway.domain.rpc import HANDSHAKE_VERSIONS, HEADER_MISMATCH, META_VERSION, Message, RpcError
from services.mcp_gateway.entry.mcp.caller import Caller
from services.mcp_gateway.entry.mcp.handshake import SESSION_ID, HandshakeEra
from services.mcp_gateway.entry.mcp.modern import ModernEra
from services.mcp_gateway.entry.mcp.sessions import Sessions
from services.mcp_gateway.entry.mcp.streams import JSON, Receive, Send, send_whole
from services.mcp_gateway.entry.mcp.wire import Unreadable, error_of, read
from services.mcp_gateway.limits import MCP_BODY_MAX_BYTES, MCP_SESSION_REAP_SECONDS
from shared.auth.scopes import MCP_EXECUTE
from shared.auth.verifier import Verifier
from shared.errors import (
    Forbidden,
    InvalidInput,
    MethodNotAllowed,
    NotAcceptable,
    PlatformError,
    TooLarge,
    Unauthenticated,
    UnsupportedMediaType,
)
from shared.http.problems import problem_of
from shared.scope import TenantScope
from shared.telemetry.trace import begin_trace

_log = logging.getLogger(__name__)

PATH = "/mcp"
_ROUTING = (b"mcp-protocol-version", b"mcp-method", b"mcp-name")
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

Known = Callable[[TenantScope, str], Awaitable[None]]
"""Raises `NotFound` unless the tenant has a profile of this name."""


class McpEndpoint:
    """An ASGI application for the paths of the MCP endpoint."""

    def __init__(
        self, verifier: Verifier, known: Known, modern: ModernEra, handshake: HandshakeEra, hosts: frozenset[str]
    ) -> None:
        self._verifier = verifier
        self._known = known
        self._modern = modern
        self._handshake = handshake
        self._hosts = hosts

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request."""
        headers = {name.decode("latin-1"): value.decode("latin-1").strip(" \t") for name, value in scope["headers"]}
        trace = (b"traceparent", begin_trace(headers.get("traceparent")).encode())

        async def send_traced(event: Any) -> None:
            if event["type"] == "http.response.start":
                event["headers"] = [*event["headers"], trace]
            await send(event)

        try:
            await self._answer(scope, headers, receive, send_traced)
        except PlatformError as refusal:
            status, body, more = problem_of(refusal)
            raw = [(name.lower().encode(), value.encode()) for name, value in more.items()]
            await send_whole(send_traced, status, body, raw)
        except Unreadable as fault:
            await send_whole(send_traced, 400, error_of(fault.request_id, fault.error), [JSON])

    async def _answer(self, scope: dict[str, Any], headers: dict[str, str], receive: Receive, send: Send) -> None:
        self._check_place(scope, headers)
        caller = await self._caller(scope["path"], headers)
        verb = scope["method"]
        if verb == "POST":
            _check_types(headers)
            message = read(await _body(receive))
            if _is_modern(headers, message):
                _check_once(scope["headers"])
                await self._modern.post(caller, message, send, receive)
            else:
                await self._handshake.post(caller, message, send, receive)
        elif headers.get("mcp-protocol-version", HANDSHAKE_VERSIONS[0]) not in HANDSHAKE_VERSIONS:
            raise MethodNotAllowed("This revision of MCP has POST alone.")
        elif verb == "GET":
            if "text/event-stream" not in headers.get("accept", "") and "*/*" not in headers.get("accept", ""):
                raise NotAcceptable("A stream of events needs `Accept: text/event-stream`.")
            await self._handshake.get(caller, send, receive)
        elif verb == "DELETE":
            await self._handshake.delete(caller, send)
        else:
            raise MethodNotAllowed("This endpoint has POST, GET and DELETE.")

    async def _caller(self, path: str, headers: dict[str, str]) -> Caller:
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not credential:
            raise Unauthenticated("Send `Authorization: Bearer <token or API key>`.")
        scope = await self._verifier.verify(credential.strip())
        scope.require(MCP_EXECUTE)
        profile = unquote(path.removeprefix(PATH).strip("/")) or None
        if profile is not None:
            await self._known(scope, profile)
        return Caller(scope, profile, headers)

    def _check_place(self, scope: dict[str, Any], headers: dict[str, str]) -> None:
        """Refuse pages of other sites, and names that were made to point here (DNS rebinding).

        On a port that only this machine's users can reach, a browser of theirs could be led to by any name; by an
        address, it cannot be.
        """
        host = _name_of(f"//{headers.get('host', '')}")
        origin = headers.get("origin")
        if origin is not None and _name_of(origin) not in {host, *self._hosts, *_LOOPBACK_NAMES}:
            raise Forbidden("Pages of this origin may not call this endpoint.")
        if _local(scope) and host not in _LOOPBACK_NAMES | self._hosts and not _is_address(host):
            raise Forbidden(f"This endpoint does not go by the name {host[:100]!r}.")


class Paths:
    """Sends the paths of the MCP endpoint there, and all others to the API: its calls need no routing."""

    def __init__(self, endpoint: McpEndpoint, api: ASGIApp) -> None:
        self._endpoint = endpoint
        self._api = api

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and (path == PATH or path.startswith(f"{PATH}/")):
            await self._endpoint(scope, receive, send)
        else:
            await self._api(scope, receive, send)


async def keep_sessions(sessions: Sessions, stopping: asyncio.Event, *closing: Callable[[], None]) -> None:
    """End sessions that nobody uses; when the process stops, end all that has no end of its own."""
    while not stopping.is_set():
        sessions.reap()
        try:
            async with asyncio.timeout(MCP_SESSION_REAP_SECONDS):
                await stopping.wait()
        except TimeoutError:
            continue
    for close in closing:
        close()
    await asyncio.Event().wait()  # the process is stopped by others


def _check_types(headers: dict[str, str]) -> None:
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType("Send `Content-Type: application/json`.")
    accept = headers.get("accept", "*/*").lower()
    if "*/*" not in accept and not ("application/json" in accept and "text/event-stream" in accept):
        raise NotAcceptable("Send `Accept: application/json, text/event-stream`.")


def _check_once(headers: list[tuple[bytes, bytes]]) -> None:
    names = [name for name, _ in headers if name in _ROUTING]
    if len(names) != len(set(names)):
        raise Unreadable(RpcError(HEADER_MISMATCH, "A header of MCP appears more than once"))


def _is_modern(headers: dict[str, str], message: Message) -> bool:
    version = headers.get("mcp-protocol-version")
    if version is not None:
        return version not in HANDSHAKE_VERSIONS
    return SESSION_ID not in headers and message.params is not UNSET and META_VERSION.encode() in bytes(message.params)


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise InvalidInput("The request ended before its body did.")
        part = event.get("body", b"")
        size += len(part)
        if size > MCP_BODY_MAX_BYTES:
            raise TooLarge(f"A request has at most {MCP_BODY_MAX_BYTES} bytes.")
        parts.append(part)
        if not event.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _name_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _local(scope: dict[str, Any]) -> bool:
    """Whether the port, or the edge in front of the socket, is one of this machine alone."""
    server = scope.get("server")
    return not server or server[1] is None or server[0] == "localhost" or ip_address(server[0]).is_loopback


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
