"""Servers whose description names secrets: resolved when they are needed, and in a session of these values alone."""

import asyncio
import hashlib
import hmac
import os
from collections import OrderedDict
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

import msgspec

from services.mcp_gateway.adapters.mcp.place import SessionState
from services.mcp_gateway.adapters.upstreams import PooledUpstreams
from services.mcp_gateway.app.ports import KnownTool, ToolAnswer
from services.mcp_gateway.domain.server import Server
from services.mcp_gateway.domain.server_secrets import filled, secret_texts
from services.mcp_gateway.limits import SESSIONS_MAX
from shared.secrets.errors import SecretNotFound
from shared.secrets.redaction import NOTHING_SECRET, Redaction
from shared.secrets.references import filler, names_in
from shared.secrets.source import SecretSource

_Definition = tuple[UUID, UUID, int]


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

    async def call(self, server: Server, tool: str, arguments: dict[str, Any], seconds: float) -> ToolAnswer:
        """Call a tool once."""
        resolved, redaction = await self._resolved(server)
        with redaction:
            answer = await self._upstreams.call(resolved, tool, arguments, seconds)
        if answer.is_error and redaction:
            content, structured = redaction.data([answer.content, answer.structured]) or ([], None)
            return msgspec.structs.replace(answer, content=content, structured=structured)
        return answer

    async def ping(self, server: Server, seconds: float) -> None:
        """Ask for a sign of life."""
        resolved, redaction = await self._resolved(server)
        with redaction:
            await self._upstreams.ping(resolved, seconds)

    async def forget(self, server: Server) -> None:
        """End the sessions of this definition: it was changed or removed."""
        known = self._known.pop(_definition(server), None)
        await self._upstreams.forget(server if known is None or known.server is None else known.server)

    def state(self, server: Server) -> SessionState | None:
        """Return the state of the server's session in this process, if there is one."""
        known = self._known.get(_definition(server))
        return self._upstreams.state(server if known is None or known.server is None else known.server)

    async def _resolved(self, server: Server) -> tuple[Server, Redaction]:
        known = self._of(server)
        if not known.names:
            return server, NOTHING_SECRET
        try:
            values = await self._secrets.resolve(server.tenant_id, known.names)
        except SecretNotFound:
            self._leave(known)
            raise
        identity = hmac.new(self._key, msgspec.json.encode(values, order="sorted"), hashlib.sha256).hexdigest()
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
            self._spawn(self._upstreams.forget(former))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _definition(server: Server) -> _Definition:
    return server.tenant_id, server.id, server.revision
