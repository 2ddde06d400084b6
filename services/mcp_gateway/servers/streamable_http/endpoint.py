"""The ASGI application: one path, one message in a POST, its answer as JSON."""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus

import msgspec
from msgspec import UNSET
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

from services.mcp_gateway.servers.base import ToolServer
from services.mcp_gateway.servers.connection import Call, Connection
from services.mcp_gateway.servers.streamable_http.agreement import check_agreement, check_media_types
from services.mcp_gateway.servers.streamable_http.door import Door
from services.mcp_gateway.servers.streamable_http.intake import ClientGone, Intake
from services.mcp_gateway.servers.streamable_http.refusals import HttpRefused
from services.mcp_gateway.servers.streamable_http.sessions import Sessions
from services.mcp_gateway.servers.wire import (
    HANDSHAKE_VERSIONS,
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MODERN_VERSION,
    OVERLOADED,
    PARSE_ERROR,
    REQUEST_CANCELLED,
    UNSUPPORTED_VERSION,
    Message,
    Reply,
    RpcFault,
    UndecodableMessage,
    decode_message,
    encode_fault,
)

PATH = "/mcp"

# What the revision 2026-07-28 wants of the status; whatever else a request gets is 200.
_MODERN_STATUSES = {
    PARSE_ERROR: HTTPStatus.BAD_REQUEST,
    INVALID_REQUEST: HTTPStatus.BAD_REQUEST,
    INVALID_PARAMS: HTTPStatus.BAD_REQUEST,
    HEADER_MISMATCH: HTTPStatus.BAD_REQUEST,
    UNSUPPORTED_VERSION: HTTPStatus.BAD_REQUEST,
    METHOD_NOT_FOUND: HTTPStatus.NOT_FOUND,
    OVERLOADED: HTTPStatus.SERVICE_UNAVAILABLE,
}
# Earlier ones leave it open, but for what is no message at all.
_HANDSHAKE_STATUSES = {PARSE_ERROR: HTTPStatus.BAD_REQUEST, INVALID_REQUEST: HTTPStatus.BAD_REQUEST}


class Answer(msgspec.Struct):
    """An HTTP response."""

    status: HTTPStatus
    body: bytes = b""
    headers: dict[str, str] = {}


class Endpoint:
    """Serves both eras on one path; the header `MCP-Protocol-Version` tells which one a request belongs to."""

    def __init__(self, server: ToolServer, door: Door) -> None:
        self._server = server
        self._door = door
        self._sessions = Sessions()
        self._intake = Intake()

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"Only HTTP is served here, not {scope['type']!r}.")
        headers = _headers(scope["headers"])
        try:
            self._door.check(headers)
            answer = await self._answer(scope["method"], scope["path"], headers, receive)
        except HttpRefused as refusal:
            answer = Answer(refusal.status, refusal.body, refusal.headers)
        except ClientGone:
            return
        fields = {"content-length": str(len(answer.body)), "cache-control": "no-store", **answer.headers}
        if answer.body:
            fields["content-type"] = "application/json"
        encoded = [(name.encode(), value.encode()) for name, value in fields.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": encoded, "trailers": False})
        await send({"type": "http.response.body", "body": answer.body, "more_body": False})

    async def _answer(self, verb: str, path: str, headers: dict[str, str], receive: ASGIReceiveCallable) -> Answer:
        if path != PATH:
            raise HttpRefused(HTTPStatus.NOT_FOUND, f"The path is {PATH}.")
        session_id = headers.get("mcp-session-id")
        if verb == "DELETE":
            self._sessions.end(_told(session_id))
            return Answer(HTTPStatus.NO_CONTENT)
        if verb != "POST":  # a GET would open a stream of what we say unasked, which is nothing
            raise HttpRefused(HTTPStatus.METHOD_NOT_ALLOWED, "POST messages here.", headers={"allow": "POST, DELETE"})
        check_media_types(headers)
        async with self._intake.body(headers, receive) as body:
            if headers.get("mcp-protocol-version", HANDSHAKE_VERSIONS[0]) not in HANDSHAKE_VERSIONS:
                return await self._stateless(_decoded(body), headers, receive)
            if session_id is None:
                return self._initialize(_decoded(body))
            return await self._continue(self._sessions.get(session_id), body, receive)

    async def _stateless(self, message: Message, headers: dict[str, str], receive: ASGIReceiveCallable) -> Answer:
        """Answer a request of 2026-07-28, which is complete in itself. Whoever leaves cancels the call."""
        if message.method is UNSET:
            raise HttpRefused(HTTPStatus.BAD_REQUEST, "Send a request: a response answers nothing here.")
        connection = Connection(self._server, MODERN_VERSION)
        replies: list[Reply] = []
        try:
            if message.id is UNSET:
                _check_version(headers["mcp-protocol-version"])
                return Answer(HTTPStatus.ACCEPTED)
            check_agreement(headers, message)
            call = connection.answer(message, replies.append)
            if call is not None:
                await _settled([call], receive)
        except ClientGone:
            connection.close()
            raise
        except RpcFault as fault:
            replies = [encode_fault(message.id if message.id is not UNSET else None, fault)]
        return _shown(replies[0], _MODERN_STATUSES)

    def _initialize(self, message: Message) -> Answer:
        if message.method != "initialize" or message.id is UNSET:
            if message.params is not UNSET and message.params.meta is not UNSET:
                lacks = "A request with a `_meta` of its own needs the header MCP-Protocol-Version."
                raise HttpRefused(HTTPStatus.BAD_REQUEST, lacks, code=HEADER_MISMATCH)
            _told(None)
        connection = Connection(self._server)
        replies: list[Reply] = []
        connection.answer(message, replies.append)
        answer = _shown(replies[0], _HANDSHAKE_STATUSES)
        if replies[0].fault is None:
            answer.headers = {"mcp-session-id": self._sessions.add(connection)}
        return answer

    async def _continue(self, connection: Connection, body: bytes, receive: ASGIReceiveCallable) -> Answer:
        """Answer what belongs to a session. A client that leaves has not cancelled: it may have lost its connection."""
        replies: list[Reply] = []
        calls = connection.receive(body, replies.append)
        if calls:
            await _settled(calls, receive)
            if not replies:
                return Answer(HTTPStatus.OK, _cancelled(body))
        return _shown(replies[0], _HANDSHAKE_STATUSES) if replies else Answer(HTTPStatus.ACCEPTED)


def _headers(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers by name. What is repeated is joined (RFC 9110, 5.3), and so matches no single value."""
    found: dict[str, str] = {}
    for name, value in fields:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _told(session_id: str | None) -> str:
    if session_id is None:
        raise HttpRefused(HTTPStatus.BAD_REQUEST, "Initialize first, then send the Mcp-Session-Id that you were given.")
    return session_id


def _decoded(body: bytes) -> Message:
    try:
        return decode_message(body)
    except UndecodableMessage as error:
        raise HttpRefused(HTTPStatus.BAD_REQUEST, error.fault.message, code=error.fault.code) from error


def _check_version(version: str) -> None:
    if version != MODERN_VERSION:
        raise RpcFault(
            UNSUPPORTED_VERSION,
            "Unsupported protocol version",
            {"supported": [MODERN_VERSION, *HANDSHAKE_VERSIONS], "requested": version},
        )


def _shown(reply: Reply, statuses: dict[int, HTTPStatus]) -> Answer:
    status = HTTPStatus.OK if reply.fault is None else statuses.get(reply.fault, HTTPStatus.OK)
    return Answer(status, reply.data)


def _cancelled(body: bytes) -> bytes:
    """Return what ends the wait for a call that another request of its session cancelled."""
    try:
        request_id = decode_message(body).id
    except UndecodableMessage:  # a batch: it has no id of its own
        request_id = UNSET
    fault = RpcFault(REQUEST_CANCELLED, "Request cancelled")
    return encode_fault(request_id if request_id is not UNSET else None, fault).data


async def _settled(calls: list[Call], receive: ASGIReceiveCallable) -> None:
    """Wait for all calls. Raises `ClientGone` if the client leaves before."""
    gone = asyncio.ensure_future(receive())
    ended = asyncio.ensure_future(asyncio.wait(calls))
    try:
        await asyncio.wait((gone, ended), return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            raise ClientGone
    finally:
        gone.cancel()
        ended.cancel()
