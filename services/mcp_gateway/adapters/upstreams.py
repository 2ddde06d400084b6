"""The servers behind the registry: their sessions, and the tools that they listed when the session began."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

import msgspec

from services.mcp_gateway.adapters.following import Following
from services.mcp_gateway.adapters.launching import Launcher
from services.mcp_gateway.adapters.mcp.launch import LaunchSpec
from services.mcp_gateway.adapters.mcp.model import Session, ToolDefinition
from services.mcp_gateway.adapters.mcp.place import SessionKey, SessionState
from services.mcp_gateway.adapters.mcp.pool import PooledSession, SessionPool
from services.mcp_gateway.app.changes import Change, Kind
from services.mcp_gateway.app.health import Healths
from services.mcp_gateway.app.ports import Caller, KnownTool, ServerFacts, ToolAnswer
from services.mcp_gateway.app.relay import Client, Relay
from services.mcp_gateway.domain.rpc import METHOD_NOT_FOUND
from services.mcp_gateway.domain.server import Server
from services.mcp_gateway.errors import ProtocolViolation, ServerBusy, ServerUnavailable
from services.mcp_gateway.limits import SESSIONS_MAX, TOOLS_FRESH_SECONDS
from shared.errors import PlatformError

OnChange = Callable[[UUID, Change], None]
"""Told of a tenant's changed lists and resources. Must neither wait nor raise."""


class _Known:
    """What is kept of one definition of a server."""

    def __init__(self, server: Server, launch: LaunchSpec) -> None:
        self.server = server
        self.launch = launch
        self.tools: dict[str, KnownTool] | None = None
        self.facts: ServerFacts | None = None
        self.listed_at = 0.0


class PooledUpstreams:
    """`Upstreams` over the session pool."""

    def __init__(self, launcher: Launcher, healths: Healths, on_change: OnChange) -> None:
        self._launcher = launcher
        self._healths = healths
        self._known: OrderedDict[SessionKey, _Known] = OrderedDict()
        self._on_change = on_change
        self._following = Following(self._session_of)
        self.pool = SessionPool(launcher, on_notice=self._noticed, on_start=self._started)

    async def tools(self, server: Server) -> dict[str, KnownTool]:
        """Return the tools by name: those of the running session, asked for again when they changed or are old."""
        key = _key(server)
        known = self._of(key, server)
        now = asyncio.get_running_loop().time()
        if known.tools is not None and now - known.listed_at < TOOLS_FRESH_SECONDS:
            return known.tools
        session = await self._session(key, known)
        tools: dict[str, KnownTool] | None = known.tools  # a session that has just begun has listed them
        if tools is None or now - known.listed_at >= TOOLS_FRESH_SECONDS:
            tools = _by_name(await session.list_tools())
            known.tools, known.listed_at = tools, now
        return tools

    async def call(
        self,
        server: Server,
        tool: str,
        arguments: dict[str, Any],
        seconds: float,
        relay: Relay | None = None,
        caller: Caller | None = None,  # noqa: ARG002 - a server is not told for whom it is called
    ) -> ToolAnswer:
        """Call a tool once, unless its server is left alone because it failed."""
        with self._healths.call(server, seconds) as latencies:
            session, left = await self._in_time(server, relay, seconds)
            result = await session.call_tool(tool, arguments, timeout=left, relay=relay)
            latencies.add(result.duration_ms)
        return ToolAnswer(
            result.content, result.structured, result.is_error, result.duration_ms, result.raw, result.input_required
        )

    async def about(self, server: Server) -> ServerFacts:
        """Return what the server says of itself, starting it if need be."""
        key = _key(server)
        known = self._of(key, server)
        if known.facts is None:
            await self._session(key, known)
        return known.facts if known.facts is not None else ServerFacts({})

    async def request(
        self, server: Server, method: str, params: dict[str, Any], seconds: float, relay: Relay | None = None
    ) -> msgspec.Raw:
        """Return the result of a request as the server wrote it."""
        with self._healths.call(server, seconds):
            session, left = await self._in_time(server, relay, seconds)
            return await session.request(method, params, timeout=left, relay=relay)

    async def ping(self, server: Server, seconds: float) -> None:
        """Ask for a sign of life, starting the server if it does not run."""
        key = _key(server)
        with self._pinging(server, seconds):
            session = await self._session(key, self._of(key, server))
            await session.ping(seconds)
            self._healths.pinged(server, seconds)

    async def probe(self, server: Server, seconds: float) -> bool:
        """Ask a session that lives for a sign of life. It may be idle: it is not kept for this."""
        with self._pinging(server, seconds):
            asked = await self.pool.probe(_key(server), seconds)
            if asked:
                self._healths.pinged(server, seconds)
            return asked

    @contextmanager
    def _pinging(self, server: Server, seconds: float) -> Iterator[None]:
        try:
            yield
        except PlatformError as failure:
            self._healths.pinged(server, seconds, failure)
            raise

    def resting(self) -> list[Server]:
        """Return the servers whose sessions live and carry no call, as they are used in these."""
        keys = [state.key for state in self.pool.states() if state.alive and not state.in_flight]
        return [self._known[key].server for key in keys if key in self._known]

    async def forget(self, server: Server) -> None:
        """End the sessions of this definition: it was changed or removed, or what configs override of it."""
        self._healths.forget(server)
        for key in [key for key in self._following.followed if _of_server(key, server)]:
            self._following.forget(key)
        for key in [key for key in self._known if _of_server(key, server)]:
            del self._known[key]
        keys = [state.key for state in self.pool.states() if _of_server(state.key, server)]
        await asyncio.gather(*(self.pool.evict(key) for key in keys))

    async def release(self, server: Server) -> None:
        """End the sessions of this very identity: its values are others now."""
        wanted = _key(server)
        self._following.forget(wanted)
        for key in [key for key in self._known if msgspec.structs.replace(key, client="") == wanted]:
            del self._known[key]
        await self.pool.evict(wanted)

    def state(self, server: Server) -> SessionState | None:
        """Return the state of a session of this definition in this process, a live one if there is one."""
        states = [state for state in self.pool.states() if _of_server(state.key, server)]
        return max(states, key=lambda state: state.alive, default=None)

    async def follow(self, wanted: Sequence[tuple[Server, frozenset[str]]]) -> None:
        """Have servers tell of changes until cancelled.

        Programs tell of their lists unasked. They are not started, nor kept running, only for somebody to listen.
        """
        await self._following.follow(
            [
                (_key(server), server, uris)
                for server, uris in wanted
                if uris or server.definition.server_type != "stdio"
            ]
        )

    async def leave(self, tenant_id: UUID, client: Client) -> None:
        """End the sessions that were opened for this client alone."""
        if client.session and client.place:  # the others share the session that it had
            await self.pool.evict_client(tenant_id, client.place)

    async def _session_of(self, server: Server) -> PooledSession:
        key = _key(server)
        return await self._session(key, self._of(key, server))

    async def _in_time(self, server: Server, relay: Relay | None, seconds: float) -> tuple[PooledSession, float]:
        """Return the session that a call needs, and what is left of the call's seconds then.

        Raises `ServerBusy` when none is: nothing was sent, and the server goes on to start.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        try:
            async with asyncio.timeout(seconds):
                session = await self._session_for(server, relay)
        except TimeoutError as error:
            raise ServerBusy(f"The server was not ready within {seconds:g} s.", retry_after=1.0) from error
        return session, max(0.001, until - loop.time())

    async def _session_for(self, server: Server, relay: Relay | None) -> PooledSession:
        client = None if relay is None else relay.client
        place = "" if client is None else _place(server, client)
        key = _key(server) if not place else msgspec.structs.replace(_key(server), client=place)
        return await self.pool.session(key, self._of(key, server).launch, client if place else None)

    async def _session(self, key: SessionKey, known: _Known) -> PooledSession:
        return await self.pool.session(key, known.launch)

    def _of(self, key: SessionKey, server: Server) -> _Known:
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _Known(server, self._launcher.launch_of(server))
            if len(self._known) > 2 * SESSIONS_MAX:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return known

    async def _started(self, key: SessionKey, session: Session) -> None:
        known = self._known.get(key)
        if known is None:
            return
        try:
            tools = await session.list_tools()
        except ServerUnavailable as error:
            if error.details.get("rpc_code") != METHOD_NOT_FOUND:
                raise
            tools = []  # a server of resources or prompts alone
        known.tools, known.listed_at = _by_name(tools), asyncio.get_running_loop().time()
        known.facts = ServerFacts(session.capabilities, session.instructions)

    def _noticed(self, key: SessionKey, method: str, params: Any) -> None:
        change = _change_of(method, params)
        if change is None:
            return
        known = self._known.get(msgspec.structs.replace(key, client=""))
        if known is not None and change.kind == "tools" and change.uri is None:
            known.tools = None  # of the session that all share, whichever heard of it
        self._on_change(key.tenant_id, change)


def _key(server: Server) -> SessionKey:
    return SessionKey(server.tenant_id, server.id, server.revision, server.identity)


def _of_server(key: SessionKey, server: Server) -> bool:
    return (key.tenant_id, key.server_id, key.version) == (server.tenant_id, server.id, server.revision)


def _change_of(method: str, params: Any) -> Change | None:
    kind, _, what = method.removeprefix("notifications/").partition("/")
    if what == "list_changed" and kind in {"tools", "prompts", "resources"}:
        return Change(cast("Kind", kind))
    if method == "notifications/resources/updated":
        uri = params.get("uri") if isinstance(params, dict) else None
        return Change("resources", uri) if isinstance(uri, str) else None
    return None


def _place(server: Server, client: Client) -> str:
    """Name the session that a client's calls need.

    A server elsewhere may speak both eras and act differently in them, so it is spoken to in the client's. A program
    is not started once more for that.
    """
    if client.place or client.era == "modern" or server.definition.server_type == "stdio":
        return client.place
    return client.era


def _by_name(tools: list[ToolDefinition]) -> dict[str, KnownTool]:
    try:
        return {tool.name: KnownTool.of(msgspec.to_builtins(tool)) for tool in tools}
    except RecursionError as error:
        raise ProtocolViolation("The server lists a tool whose definition is nested without end.") from error
