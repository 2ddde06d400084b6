"""Servers whose description names secrets: resolved when they are needed, and in a session of these values alone."""

import asyncio
import hashlib
import hmac
import logging
import os
from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from typing import Any
from uuid import UUID

import msgspec

from services.mcp_gateway.adapters.mcp.place import SessionState
from services.mcp_gateway.adapters.upstreams import PooledUpstreams
from services.mcp_gateway.app.ports import Caller, KnownTool, ServerFacts, ToolAnswer
from services.mcp_gateway.app.relay import Client, Relay
from services.mcp_gateway.domain.rpc import RpcError, RpcFailed
from services.mcp_gateway.domain.server import Server
from services.mcp_gateway.domain.server_secrets import filled, secret_texts
from services.mcp_gateway.limits import SESSIONS_MAX
from shared.errors import PlatformError
from shared.secrets.errors import SecretNotFound
from shared.secrets.redaction import NOTHING_SECRET, Redaction
from shared.secrets.references import filler, names_in
from shared.secrets.source import SecretSource

_Definition = tuple[UUID, UUID, int, str]
_log = logging.getLogger(__name__)


class _Filled(msgspec.Struct):
    """One definition: the names of its secrets; with the values that it was last started with, the server itself."""

    names: list[str]
    server: Server | None = None
    redaction: Redaction = NOTHING_SECRET


class SecretUpstreams:
    """`Upstreams` that gives another one servers in which no reference is left.

    A changed value is another `identity` and so another session; the one before ends once its calls are over. Values
    stay in this process, and are taken out of what failures say.
    """

    def __init__(self, upstreams: PooledUpstreams, secrets: SecretSource) -> None:
        self._upstreams = upstreams
        self._secrets = secrets
        self._known: OrderedDict[_Definition, _Filled] = OrderedDict()
        # Of no use outside of this process: an identity that is seen somewhere is no help in guessing a value.
        self._key = os.urandom(32)
        self._ending: set[asyncio.Task[None]] = set()

    async def tools(self, server: Server) -> dict[str, KnownTool]:
        """Return the server's tools by name."""
        resolved, redaction = await self._resolved(server)
        with redaction:
            return await self._upstreams.tools(resolved)

    async def call(
        self,
        server: Server,
        tool: str,
        arguments: dict[str, Any],
        seconds: float,
        relay: Relay | None = None,
        caller: Caller | None = None,
    ) -> ToolAnswer:
        """Call a tool once."""
        resolved, redaction = await self._resolved(server)
        with redaction:
            answer = await self._upstreams.call(resolved, tool, arguments, seconds, relay, caller)
        if answer.is_error and redaction:
            content, structured = redaction.data([answer.content, answer.structured]) or ([], None)
            return msgspec.structs.replace(answer, content=content, structured=structured, raw=None)
        return answer

    async def about(self, server: Server) -> ServerFacts:
        """Return what the server says of itself."""
        resolved, redaction = await self._resolved(server)
        with redaction:
            return await self._upstreams.about(resolved)

    async def request(
        self, server: Server, method: str, params: dict[str, Any], seconds: float, relay: Relay | None = None
    ) -> msgspec.Raw:
        """Return the result of a request as the server wrote it."""
        resolved, redaction = await self._resolved(server)
        try:
            with redaction:
                return await self._upstreams.request(resolved, method, params, seconds, relay)
        except RpcFailed as failure:
            raise _cleaned(failure, redaction) from None

    async def follow(self, wanted: Sequence[tuple[Server, frozenset[str]]]) -> None:
        """Have servers tell of changes until cancelled; those whose secrets cannot be had now do not."""
        found = []
        for server, uris in wanted:
            try:
                found.append(((await self._resolved(server))[0], uris))
            except PlatformError as error:
                _log.info("%s is not followed: %s", server.definition.slug, error.code)
        await self._upstreams.follow(found)

    async def leave(self, tenant_id: UUID, client: Client) -> None:
        """End the sessions that were opened for this client alone."""
        await self._upstreams.leave(tenant_id, client)

    async def probe(self, server: Server, seconds: float) -> bool:
        """Ask a session that lives for a sign of life. `server` has the values that it was started with."""
        known = (one for key, one in self._known.items() if key[:3] == _definition(server)[:3])
        used = (one.redaction for one in known if one.server is not None and one.server.identity == server.identity)
        with next(used, NOTHING_SECRET):
            return await self._upstreams.probe(server, seconds)

    async def ping(self, server: Server, seconds: float) -> None:
        """Ask for a sign of life."""
        resolved, redaction = await self._resolved(server)
        with redaction:
            await self._upstreams.ping(resolved, seconds)

    async def forget(self, server: Server) -> None:
        """End the sessions of this definition, whatever its values: it was changed or removed."""
        for key in [key for key in self._known if key[:3] == _definition(server)[:3]]:
            del self._known[key]
        await self._upstreams.forget(server)

    def state(self, server: Server) -> SessionState | None:
        """Return the state of the server's session in this process, if there is one."""
        return self._upstreams.state(server)

    async def _resolved(self, server: Server) -> tuple[Server, Redaction]:
        known = self._of(server)
        if not known.names:
            return server, NOTHING_SECRET
        try:
            values = await self._secrets.resolve(server.tenant_id, known.names)
        except SecretNotFound:
            self._leave(known)
            raise
        digest = hmac.new(self._key, msgspec.json.encode(values, order="sorted"), hashlib.sha256).hexdigest()
        identity = f"{server.identity}/{digest}"
        if known.server is None or known.server.identity != identity:
            self._leave(known)
            definition = filled(server.definition, filler(values))
            known.server = msgspec.structs.replace(server, definition=definition, identity=identity)
            known.redaction = Redaction(values)
        # The row may be newer than the one that the definition is of: it has the same way to start, and another name.
        current = msgspec.structs.replace(server, definition=known.server.definition, identity=identity)
        return current, known.redaction

    def _of(self, server: Server) -> _Filled:
        key = _definition(server)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _Filled(names_in(secret_texts(server.definition)))
            if len(self._known) > 2 * SESSIONS_MAX:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return known

    def _leave(self, known: _Filled) -> None:
        """Have the session of the values before end once its calls are over; nobody waits for that."""
        former, known.server = known.server, None
        if former is not None:
            self._spawn(self._upstreams.release(former))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _cleaned(failure: RpcFailed, redaction: Redaction) -> RpcFailed:
    error = failure.error
    return RpcFailed(RpcError(error.code, redaction.text(error.message), redaction.data(error.data)))


def _definition(server: Server) -> _Definition:
    return server.tenant_id, server.id, server.revision, server.identity
