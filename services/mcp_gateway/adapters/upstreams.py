"""The servers behind the registry: their sessions, and the tools that they listed when the session began."""

import asyncio
import hashlib
from collections import OrderedDict
from typing import Any

import msgspec

from services.mcp_gateway.adapters.launching import Launcher
from services.mcp_gateway.adapters.mcp.codec import METHOD_NOT_FOUND
from services.mcp_gateway.adapters.mcp.launch import LaunchSpec
from services.mcp_gateway.adapters.mcp.model import Session, ToolDefinition
from services.mcp_gateway.adapters.mcp.place import SessionKey, SessionState
from services.mcp_gateway.adapters.mcp.pool import PooledSession, SessionPool
from services.mcp_gateway.app.ports import KnownTool, ToolAnswer
from services.mcp_gateway.domain.call import may_be_repeated
from services.mcp_gateway.domain.server import Server
from services.mcp_gateway.errors import ServerUnavailable
from services.mcp_gateway.limits import SESSIONS_MAX, TOOLS_FRESH_SECONDS

_canonical = msgspec.json.Encoder(order="deterministic").encode


class _Known:
    """What is kept of one definition of a server."""

    def __init__(self, launch: LaunchSpec) -> None:
        self.launch = launch
        self.tools: dict[str, KnownTool] | None = None
        self.listed_at = 0.0


class PooledUpstreams:
    """`Upstreams` over the session pool."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._known: OrderedDict[SessionKey, _Known] = OrderedDict()
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

    async def call(self, server: Server, tool: str, arguments: dict[str, Any], seconds: float) -> ToolAnswer:
        """Call a tool once."""
        key = _key(server)
        session = await self._session(key, self._of(key, server))
        result = await session.call_tool(tool, arguments, timeout=seconds)
        return ToolAnswer(result.content, result.structured, result.is_error, result.duration_ms)

    async def ping(self, server: Server, seconds: float) -> None:
        """Ask for a sign of life, starting the server if it does not run."""
        key = _key(server)
        session = await self._session(key, self._of(key, server))
        await session.ping(seconds)

    async def forget(self, server: Server) -> None:
        """End the sessions of this definition: it was changed or removed."""
        self._known.pop(_key(server), None)
        await self.pool.evict(_key(server))

    def state(self, server: Server) -> SessionState | None:
        """Return the state of the server's session in this process, if there is one."""
        key = _key(server)
        return next((state for state in self.pool.states() if state.key == key), None)

    async def _session(self, key: SessionKey, known: _Known) -> PooledSession:
        return await self.pool.session(key, known.launch)

    def _of(self, key: SessionKey, server: Server) -> _Known:
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _Known(self._launcher.launch_of(server))
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

    def _noticed(self, key: SessionKey, method: str, _: Any) -> None:
        known = self._known.get(key)
        if known is not None and method == "notifications/tools/list_changed":
            known.tools = None


def _key(server: Server) -> SessionKey:
    return SessionKey(server.tenant_id, server.id, server.revision, identity=server.identity)


def _by_name(tools: list[ToolDefinition]) -> dict[str, KnownTool]:
    return {tool.name: _known_tool(tool) for tool in tools}


def _known_tool(tool: ToolDefinition) -> KnownTool:
    definition = msgspec.to_builtins(tool)
    digest = hashlib.sha256(_canonical(definition)).hexdigest()
    return KnownTool(tool.name, definition, tool.input_schema, digest, may_be_repeated(tool.annotations))
