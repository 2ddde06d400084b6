"""What every session does alike, whatever carries its messages: agree on an era, list tools, call them, ping."""

import logging
import time
from abc import ABC, abstractmethod
from typing import Any

import msgspec
from msgspec import Raw

from services.mcp_gateway.adapters.mcp.codec import (
    CLIENT_INFO,
    decode_discovery,
    decode_handshake,
    decode_tool_result,
    decode_tools_page,
)
from services.mcp_gateway.adapters.mcp.input_required import with_answers
from services.mcp_gateway.adapters.mcp.model import Opening, ServerInfo, ToolDefinition, ToolResult
from services.mcp_gateway.adapters.mcp.unasked import Unasked
from services.mcp_gateway.app.relay import Era, Relay
from services.mcp_gateway.domain.bounds import too_deep
from services.mcp_gateway.domain.rpc import (
    HANDSHAKE_VERSIONS,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MODERN_VERSION,
    RpcFailed,
)
from services.mcp_gateway.errors import (
    ArgumentsInvalid,
    ProtocolViolation,
    ResultTooLarge,
    ServerUnavailable,
    ToolError,
    ToolNotFound,
    ToolTimeout,
)
from services.mcp_gateway.limits import (
    CALL_DETAILS_MAX_BYTES,
    CALL_SECONDS_MAX,
    FAULT_MESSAGE_MAX_CHARS,
    RESULT_MAX_BYTES,
    START_SECONDS,
    TOOL_NAME_MAX_CHARS,
    TOOL_PAGES_MAX,
    TOOLS_MAX,
)

_log = logging.getLogger(__name__)


class _EraNotSpoken(Exception):
    """The server answered, and does not speak the era that was tried."""


class McpSession(ABC):
    """The protocol above a transport. Subclasses carry one request to the server and its answer back."""

    def __init__(self, opening: Opening) -> None:
        client = opening.client
        self._unasked = Unasked(
            opening.on_notification, self._reply, one_client=client is not None and client.place != ""
        )
        self._one_kind = client is not None
        self._offered: dict[str, Any] = {} if client is None else client.asked_for
        self.server_info = ServerInfo()
        self.capabilities: dict[str, Any] = {}
        self.instructions: str | None = None
        self.protocol_version = ""
        self.era: Era = "handshake"
        self._tool_names: frozenset[str] | None = None

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether a call can still succeed on this session."""

    @abstractmethod
    async def close(self) -> None:
        """End the session and all that belongs to it. May be called again."""

    @abstractmethod
    async def _exchange(self, method: str, params: dict[str, Any], seconds: float, relay: Relay | None = None) -> Raw:
        """Send a request and return the raw result. `relay` is told and asked what belongs to it.

        Raises `RpcFailed` for an error reply, `TimeoutError`, and the gateway's own errors for a broken transport.
        """

    @abstractmethod
    async def _notify(self, method: str) -> None:
        """Send a notification."""

    @abstractmethod
    def _reply(self, message: bytes) -> None:
        """Send the answer to something that the server asked. Never waits."""

    @abstractmethod
    async def follow(self, uris: frozenset[str]) -> None:
        """Have the server tell of changes of its lists and of these resources, until cancelled or the session ends.

        Raises what `request` raises.
        """

    @property
    def _modern(self) -> bool:
        return self.era == "modern"

    async def list_tools(self) -> list[ToolDefinition]:
        """Return all tools, page by page. Raises `ProtocolViolation` above the bounds on pages, tools and names."""
        tools: list[ToolDefinition] = []
        cursor: str | None = None
        for _ in range(TOOL_PAGES_MAX):
            raw = await self._ask("tools/list", {} if cursor is None else {"cursor": cursor}, START_SECONDS)
            page = decode_tools_page(raw)
            tools.extend(page.tools)
            cursor = page.next_cursor
            if len(tools) > TOOLS_MAX or any(len(tool.name) > TOOL_NAME_MAX_CHARS for tool in page.tools):
                raise ProtocolViolation(
                    f"The server lists more than {TOOLS_MAX} tools, or names of over {TOOL_NAME_MAX_CHARS} characters."
                )
            if cursor is None:
                self._remember_tools(tools)
                return tools
        raise ProtocolViolation(f"The server's list of tools has more than {TOOL_PAGES_MAX} pages.")

    async def call_tool(
        self,
        name: str,
        arguments: dict[str, Any],
        *,
        timeout: float,  # noqa: ASYNC109 - each transport cancels in its own way when the time is over
        relay: Relay | None = None,
    ) -> ToolResult:
        """Call a tool and wait at most `timeout` seconds. It is sent once: a failed call is never repeated from here.

        Raises `ToolNotFound`, `ArgumentsInvalid`, `ToolError`, `ToolTimeout`, `ServerDied`, `ServerUnavailable`,
        `ProtocolViolation` or `ResultTooLarge`. A tool that reports its own failure is a result with `is_error`.
        """
        started = time.perf_counter()
        params = {"name": name, "arguments": arguments}
        try:
            raw = await self._answered("tools/call", params, min(timeout, CALL_SECONDS_MAX), relay)
        except RpcFailed as failure:
            raise self._tool_failure(name, failure) from failure
        except TimeoutError as error:
            raise ToolTimeout(
                f"The tool {name!r} did not answer within {timeout:g} s.", details={"tool": name, "timeout_s": timeout}
            ) from error
        size = len(memoryview(raw))
        if size > RESULT_MAX_BYTES:
            raise ResultTooLarge(
                f"The result of {name!r} has {size} bytes; at most {RESULT_MAX_BYTES} are passed on.",
                details={"tool": name, "bytes": size, "limit": RESULT_MAX_BYTES},
            )
        result = decode_tool_result(raw, (time.perf_counter() - started) * 1000.0)
        if too_deep([result.content, result.structured or {}], raw):
            raise ResultTooLarge(f"The result of {name!r} is nested too deeply.", details={"tool": name})
        return result

    async def request(
        self,
        method: str,
        params: dict[str, Any],
        *,
        timeout: float,  # noqa: ASYNC109 - as above
        relay: Relay | None = None,
    ) -> Raw:
        """Ask for anything else than a tool, and return the result as the server wrote it.

        Raises `RpcFailed` for the server's refusal, and what `call_tool` raises for a broken session.
        """
        try:
            raw = await self._answered(method, params, timeout, relay)
        except TimeoutError as error:
            raise ToolTimeout(f"The server did not answer {method} within {timeout:g} s.") from error
        if len(memoryview(raw)) > RESULT_MAX_BYTES:
            raise ResultTooLarge(f"The answer to {method} has more than {RESULT_MAX_BYTES} bytes.")
        return raw

    async def _answered(self, method: str, params: dict[str, Any], seconds: float, relay: Relay | None) -> Raw:
        """Exchange, and where the server wants input first that a handshake-era client can give, give it."""
        if relay is None or not self._modern or relay.client.era == "modern":
            return await self._exchange(method, params, seconds, relay)
        return await with_answers(self._exchange, method, params, seconds, relay)

    async def ping(self, timeout: float) -> None:  # noqa: ASYNC109 - as above
        """Ask for a sign of life: `ping`, or `server/discover` in the modern era, which has no ping."""
        await self._ask("server/discover" if self._modern else "ping", {}, timeout)

    async def _negotiate(self, order: tuple[Era, ...]) -> None:
        """Open the session in the first era of `order` that the server speaks. Raises `ServerUnavailable`."""
        refusals: list[str] = []
        for era in order:
            self.era = era
            try:
                if era == "modern":
                    await self._discover()
                else:
                    await self._initialize()
            except (RpcFailed, _EraNotSpoken) as refusal:
                refusals.append(f"{era}: {refusal}"[:FAULT_MESSAGE_MAX_CHARS])
            except TimeoutError as error:
                raise ServerUnavailable(
                    f"The server did not answer within {START_SECONDS:g} s of its start."
                ) from error
            else:
                return
        raise ServerUnavailable(
            "The server speaks no protocol revision that we speak.",
            details={"refusals": refusals, "revisions": [*HANDSHAKE_VERSIONS, MODERN_VERSION]},
        )

    async def _initialize(self) -> None:
        offer = {
            "protocolVersion": HANDSHAKE_VERSIONS[-1],
            "capabilities": self._offered,
            "clientInfo": CLIENT_INFO,
        }
        handshake = decode_handshake(await self._exchange("initialize", offer, START_SECONDS))
        if handshake.protocol_version not in HANDSHAKE_VERSIONS:
            raise _EraNotSpoken(f"the server insists on revision {handshake.protocol_version[:40]!r}")
        self.protocol_version = handshake.protocol_version
        self.server_info = handshake.server_info
        self.capabilities, self.instructions = handshake.capabilities, handshake.instructions
        await self._notify("notifications/initialized")
        if self._one_kind and "logging" in self.capabilities:
            await self._hear_all()

    async def _hear_all(self) -> None:
        """Have the server log all; what the client wants to hear of is sorted out where it is passed on."""
        try:
            await self._exchange("logging/setLevel", {"level": "debug"}, START_SECONDS)
        except RpcFailed as failure:
            _log.info("the server does not set its log level: %s", failure)

    async def _discover(self) -> None:
        self.protocol_version = MODERN_VERSION
        raw = await self._exchange("server/discover", {}, START_SECONDS)
        try:
            discovery = decode_discovery(raw)
        except ProtocolViolation as violation:
            # An older server may answer a method that it does not know in ways of its own; only a real answer counts.
            raise _EraNotSpoken(violation.message) from violation
        if MODERN_VERSION not in discovery.supported_versions:
            raise _EraNotSpoken(f"the server speaks {', '.join(discovery.supported_versions)[:100]}")
        self.server_info = discovery.server_info()
        self.capabilities, self.instructions = discovery.capabilities, discovery.instructions

    async def _ask(self, method: str, params: dict[str, Any], seconds: float) -> Raw:
        """An exchange about the server itself, whose failures are the server's."""
        try:
            return await self._exchange(method, params, seconds)
        except RpcFailed as failure:
            raise ServerUnavailable(
                f"The server refused {method}: {failure.error.message[:FAULT_MESSAGE_MAX_CHARS]}",
                details={"rpc_code": failure.error.code},
            ) from failure
        except TimeoutError as error:
            raise ServerUnavailable(f"The server did not answer {method} within {seconds:g} s.") from error

    def _remember_tools(self, tools: list[ToolDefinition]) -> None:
        self._tool_names = frozenset(tool.name for tool in tools)

    def _tool_failure(self, name: str, failure: RpcFailed) -> ToolError | ToolNotFound | ArgumentsInvalid:
        """Read what an error reply to `tools/call` means. The protocol has one code for two things (-32602)."""
        error = failure.error
        message = error.message[:FAULT_MESSAGE_MAX_CHARS] or f"error {error.code}"
        details: dict[str, Any] = {"tool": name, "rpc_code": error.code, "rpc_message": message}
        if error.data is not None and len(msgspec.json.encode(error.data)) <= CALL_DETAILS_MAX_BYTES:
            details["rpc_data"] = error.data
        if error.code in {INVALID_PARAMS, METHOD_NOT_FOUND}:
            unknown = (
                name not in self._tool_names if self._tool_names is not None else "unknown tool" in message.lower()
            )
            if unknown:
                return ToolNotFound(f"The server has no tool {name!r}.", details=details)
            if error.code == INVALID_PARAMS:
                return ArgumentsInvalid(f"The server refused the arguments of {name!r}: {message}", details=details)
        return ToolError(f"The tool {name!r} failed: {message}", details=details)
