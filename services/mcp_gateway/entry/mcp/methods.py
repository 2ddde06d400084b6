"""What the endpoint answers to each method, whatever the era and the transport."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from services.mcp_gateway.app.changes import Changes
from services.mcp_gateway.app.offers import Offers
from services.mcp_gateway.app.policy import Policies
from services.mcp_gateway.app.ports import ServerRequests
from services.mcp_gateway.app.profiles import Profiles
from services.mcp_gateway.domain.policy import OPEN_POLICY
from services.mcp_gateway.domain.rpc import INVALID_PARAMS, METHOD_NOT_FOUND, RpcFailed, refused
from services.mcp_gateway.domain.server import Server
from services.mcp_gateway.entry.mcp.inbound import Inbound
from services.mcp_gateway.entry.mcp.tool_calls import CallTool
from services.mcp_gateway.entry.mcp.wire import in_era
from services.mcp_gateway.limits import FOLLOW_PAUSE_SECONDS, MCP_CALL_SECONDS, MCP_LIST_TTL_MS
from shared.errors import PlatformError

_log = logging.getLogger(__name__)

CAPABILITIES: dict[str, Any] = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"listChanged": True, "subscribe": True},
    "completions": {},
}
_OLD_NOT_FOUND = -32002  # a resource that is not there, before 2026-07-28

Method = Callable[[Inbound], Awaitable[Any]]


class Methods:
    """Answers requests. Results are objects or, as a server wrote them, `Raw`."""

    def __init__(
        self,
        offers: Offers,
        requests: ServerRequests,
        call_tool: CallTool,
        changes: Changes,
        profiles: Profiles,
        policies: Policies,
    ) -> None:
        self._offers = offers
        self._changes = changes
        self._profiles = profiles
        self._policies = policies
        self._requests = requests
        self._methods: dict[str, Method] = {
            "tools/call": call_tool,
            "tools/list": self._tools,
            "prompts/list": self._prompts,
            "prompts/get": self._prompt,
            "resources/list": self._resources,
            "resources/templates/list": self._templates,
            "resources/read": self._read,
            "completion/complete": self._complete,
        }

    async def answer(self, inbound: Inbound) -> Any:
        """Return the result of a request. Raises `RpcFailed`, and the platform's errors."""
        method = self._methods.get(inbound.method)
        if method is None:
            raise refused(METHOD_NOT_FOUND, f"Method not found: {inbound.method[:100]}")
        return await method(inbound)

    async def forward(self, inbound: Inbound, server: Server, params: dict[str, Any]) -> Any:
        """Ask a server, and return its result as clients of the era read it.

        What configs say of its time and rate holds here as for tools.
        """
        shown = await self._profiles.resolve(inbound.scope, inbound.profile)
        policy = shown.policies.get(server.id, OPEN_POLICY)
        self._policies.admit(inbound.scope, policy)
        named = (policy.timeout_seconds, server.definition.config.timeout_seconds)
        seconds = min([MCP_CALL_SECONDS, *(each for each in named if each is not None)])
        try:
            raw = await self._requests.request(server, inbound.method, params, seconds, inbound.relay)
        except RpcFailed as failure:
            if inbound.modern and failure.error.code == _OLD_NOT_FOUND:
                raise refused(INVALID_PARAMS, failure.error.message, {"uri": params.get("uri")}) from failure
            raise
        return in_era(raw, modern=inbound.modern)

    async def resource_server(self, inbound: Inbound) -> Server:
        """Return the server whose resource `params.uri` names."""
        return await self._offers.resource_server(inbound.scope, inbound.profile, text_of(inbound.params, "uri"))

    async def follow(self, inbound: Inbound, uris: set[str]) -> None:
        """Have servers tell of what changes for as long as this runs: of their lists, and of these resources.

        Which servers these are is looked at again after each change, since one of them may be gone or another.
        """
        changed = asyncio.Event()
        stop = self._changes.listen_for_upkeep(inbound.scope.tenant_id, changed.set)
        following: asyncio.Task[None] | None = None
        try:
            while True:
                changed.clear()
                wanted = await self._wanted(inbound, uris)
                former, following = following, asyncio.create_task(self._requests.follow(wanted))
                await asyncio.sleep(0)  # the new one begins before the former ends: what both follow goes on
                if former is not None:
                    former.cancel()
                await changed.wait()
                await asyncio.sleep(FOLLOW_PAUSE_SECONDS)
        finally:
            stop()
            if following is not None:
                following.cancel()

    async def _wanted(self, inbound: Inbound, uris: set[str]) -> list[tuple[Server, frozenset[str]]]:
        """Say what to follow of which server. A URI that is nobody's, and what cannot be known now, is left out."""
        try:
            servers = await self._offers.servers(inbound.scope, inbound.profile)
        except PlatformError as error:
            _log.info("nothing is followed for now: %s", error.message)
            return []
        wanted: dict[UUID, set[str]] = {server.id: set() for server in servers}
        for uri in sorted(uris):
            try:
                owner = await self._offers.resource_server(inbound.scope, inbound.profile, uri)
            except (RpcFailed, PlatformError):
                continue
            wanted.setdefault(owner.id, set()).add(uri)
        return [(server, frozenset(wanted[server.id])) for server in servers]

    async def leave(self, inbound: Inbound) -> None:
        """The client is gone for good."""
        await self._requests.leave(inbound.scope.tenant_id, inbound.client)

    async def _tools(self, inbound: Inbound) -> Any:
        offered = (await self._offers.tools(inbound.scope, inbound.profile)).values()
        return page(inbound, "tools", [tool.definition for tool in offered])

    async def _prompts(self, inbound: Inbound) -> Any:
        offered = (await self._offers.prompts(inbound.scope, inbound.profile)).values()
        return page(inbound, "prompts", [prompt.definition for prompt in offered])

    async def _prompt(self, inbound: Inbound) -> Any:
        prompt = await self._offers.prompt(inbound.scope, inbound.profile, text_of(inbound.params, "name"))
        params = {"name": prompt.own_name}
        if isinstance(inbound.params.get("arguments"), dict):
            params["arguments"] = inbound.params["arguments"]
        return await self.forward(inbound, prompt.server, params)

    async def _resources(self, inbound: Inbound) -> Any:
        offered = await self._offers.resources(inbound.scope, inbound.profile)
        return page(inbound, "resources", [resource.definition for resource in offered])

    async def _templates(self, inbound: Inbound) -> Any:
        offered = await self._offers.templates(inbound.scope, inbound.profile)
        return page(inbound, "resourceTemplates", [template.definition for template in offered])

    async def _read(self, inbound: Inbound) -> Any:
        server = await self.resource_server(inbound)
        result = await self.forward(inbound, server, {"uri": inbound.params["uri"]})
        if inbound.modern and isinstance(result, dict):
            result.setdefault("ttlMs", 0)
            result.setdefault("cacheScope", "private")
        return result

    async def _complete(self, inbound: Inbound) -> Any:
        ref = inbound.params.get("ref")
        if not isinstance(ref, dict):
            raise refused(INVALID_PARAMS, "Invalid params: `ref` is missing")
        if ref.get("type") == "ref/prompt":
            prompt = await self._offers.prompt(inbound.scope, inbound.profile, text_of(ref, "name"))
            server, ref = prompt.server, {**ref, "name": prompt.own_name}
        elif ref.get("type") == "ref/resource":
            server = await self._offers.resource_server(inbound.scope, inbound.profile, text_of(ref, "uri"))
        else:
            raise refused(INVALID_PARAMS, "Invalid params: `ref.type` is neither ref/prompt nor ref/resource")
        params: dict[str, Any] = {key: inbound.params[key] for key in ("argument", "context") if key in inbound.params}
        return await self.forward(inbound, server, {**params, "ref": ref})


def text_of(params: dict[str, Any], name: str) -> str:
    """Return a text among params. Raises `RpcFailed` when it is not there."""
    value = params.get(name)
    if not isinstance(value, str):
        raise refused(INVALID_PARAMS, f"Invalid params: `{name}` is missing")
    return value


def page(inbound: Inbound, key: str, things: list[Any]) -> dict[str, Any]:
    """Return a list, which has one page. What one caller sees is not for others to keep."""
    if inbound.params.get("cursor") is not None:
        raise refused(INVALID_PARAMS, "Unknown cursor: this list has one page")
    if not inbound.modern:
        return {key: things}
    return {key: things, "resultType": "complete", "ttlMs": MCP_LIST_TTL_MS, "cacheScope": "private"}
