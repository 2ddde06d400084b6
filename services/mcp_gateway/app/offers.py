"""What a caller sees at the MCP endpoint: tools, prompts and resources of all servers that are the caller's to use."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec

from services.mcp_gateway.app.changes import Change
from services.mcp_gateway.app.listing import PROMPTS, RESOURCES, TEMPLATES, Lists, list_all
from services.mcp_gateway.app.ports import KnownTool, ServerRequests
from services.mcp_gateway.domain.offers import Named, Offered, OfferedResource, listed, name_all, template_matches
from services.mcp_gateway.domain.param_headers import param_headers_of
from services.mcp_gateway.domain.rpc import INVALID_PARAMS, RpcFailed, refused
from services.mcp_gateway.domain.server import Server
from services.mcp_gateway.limits import (
    DISCOVER_AT_ONCE,
    OFFER_SECONDS,
    OFFERS_CACHED,
    OFFERS_FRESH_SECONDS,
)
from shared.errors import PlatformError
from shared.scope import TenantScope

_log = logging.getLogger(__name__)

ServersOf = Callable[[TenantScope, str | None], Awaitable[Sequence[Server]]]
"""The servers that a profile shows, or without one all that the tenant may use. Raises `NotFound` for no profile."""

ToolsOf = Callable[[TenantScope, Server, str | None], Awaitable[Iterable[KnownTool]]]
"""The tools of a server that callers of a profile may use."""

_Key = tuple[UUID, str | None]


class _Kept:
    """What was listed for one tenant and profile, and until when it is good."""

    def __init__(self) -> None:
        self.tools: dict[str, Offered] | None = None
        self.tools_until = 0.0
        self.lists: dict[str, tuple[float, list[Named[dict[str, Any]]]]] = {}
        self.turn = asyncio.Lock()


class Offers:
    """Lists, and finds by the names that the lists give. What it returns is seconds old at most."""

    def __init__(self, servers_of: ServersOf, tools_of: ToolsOf, requests: ServerRequests) -> None:
        self._servers_of = servers_of
        self._tools_of = tools_of
        self._requests = requests
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()

    def forget(self, tenant_id: UUID, change: Change | None = None) -> None:
        """Look anew at what a tenant's servers offer."""
        for (tenant, _), kept in self._kept.items():
            if tenant == tenant_id and (change is None or change.uri is None):
                kept.tools_until = 0.0
                kept.lists.clear()

    async def servers(self, scope: TenantScope, profile: str | None) -> Sequence[Server]:
        """Return the servers that a profile shows. Raises `NotFound` for an unknown profile."""
        return await self._servers_of(scope, profile)

    async def tools(self, scope: TenantScope, profile: str | None) -> dict[str, Offered]:
        """Return the tools by their names here. Raises `NotFound` for an unknown profile."""
        kept = self._of(scope.tenant_id, profile)
        if kept.tools is not None and kept.tools_until > time.monotonic():
            return kept.tools
        async with kept.turn:
            if kept.tools is None or kept.tools_until <= time.monotonic():
                kept.tools_until = time.monotonic() + OFFERS_FRESH_SECONDS
                try:
                    kept.tools = await self._list_tools(scope, profile)
                except BaseException:
                    kept.tools_until = 0.0
                    raise
            return kept.tools

    async def tool(self, scope: TenantScope, profile: str | None, name: str) -> Offered:
        """Return the tool of this name. Raises `RpcFailed` as MCP wants it for an unknown one."""
        found = (await self.tools(scope, profile)).get(name)
        if found is None:
            raise refused(INVALID_PARAMS, f"Unknown tool: {name[:200]}")
        return found

    async def prompts(self, scope: TenantScope, profile: str | None) -> dict[str, Offered]:
        """Return the prompts by their names here."""
        found = await self._all(scope, profile, PROMPTS)
        return {
            name: Offered(name, thing.name, thing.server, listed(thing.what, name))
            for name, thing in name_all(found, prefixed=profile is None).items()
        }

    async def prompt(self, scope: TenantScope, profile: str | None, name: str) -> Offered:
        """Return the prompt of this name. Raises `RpcFailed` for an unknown one."""
        found = (await self.prompts(scope, profile)).get(name)
        if found is None:
            raise refused(INVALID_PARAMS, f"Unknown prompt: {name[:200]}")
        return found

    async def resources(self, scope: TenantScope, profile: str | None) -> list[OfferedResource]:
        """Return the resources; of several with one URI, the first server's."""
        found = await self._all(scope, profile, RESOURCES)
        return _one_each(found)

    async def templates(self, scope: TenantScope, profile: str | None) -> list[OfferedResource]:
        """Return the templates of resources."""
        found = await self._all(scope, profile, TEMPLATES)
        return _one_each(found)

    async def resource_server(self, scope: TenantScope, profile: str | None, uri: str) -> Server:
        """Return the server that a URI belongs to: that lists it, that has a template for it, or that is alone.

        Raises `RpcFailed` when it is nobody's.
        """
        for resource in await self.resources(scope, profile):
            if resource.uri == uri:
                return resource.server
        for template in await self.templates(scope, profile):
            if uri == template.uri or template_matches(template.uri, uri):
                return template.server
        having = await self._having(await self._servers_of(scope, profile), "resources")
        if len(having) == 1:
            return having[0]
        raise refused(INVALID_PARAMS, f"Resource not found: {uri[:200]}", {"uri": uri})

    async def _list_tools(self, scope: TenantScope, profile: str | None) -> dict[str, Offered]:
        async def look(server: Server) -> list[Named[KnownTool]]:
            return [Named(server, tool.name, tool) for tool in await self._tools_of(scope, server, profile)]

        found = await _each(await self._servers_of(scope, profile), look)
        return {
            name: Offered(
                name,
                thing.name,
                thing.server,
                listed(thing.what.definition, name),
                param_headers_of(thing.what.input_schema),
            )
            for name, thing in name_all(found, prefixed=profile is None).items()
        }

    async def _all(self, scope: TenantScope, profile: str | None, lists: Lists) -> list[Named[dict[str, Any]]]:
        kept = self._of(scope.tenant_id, profile)
        until, found = kept.lists.get(lists.method, (0.0, []))
        if until > time.monotonic():
            return found
        servers = await self._having(await self._servers_of(scope, profile), lists.capability)

        async def look(server: Server) -> list[Named[dict[str, Any]]]:
            return [Named(server, name, thing) for name, thing in await list_all(self._requests, server, lists)]

        found = await _each(servers, look)
        kept.lists[lists.method] = (time.monotonic() + OFFERS_FRESH_SECONDS, found)
        return found

    async def _having(self, servers: Sequence[Server], capability: str) -> list[Server]:
        async def look(server: Server) -> list[Server]:
            about = await self._requests.about(server)
            return [server] if capability in about.capabilities else []

        return await _each(servers, look)

    def _of(self, tenant_id: UUID, profile: str | None) -> _Kept:
        key = (tenant_id, profile)
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = _Kept()
            if len(self._kept) > OFFERS_CACHED:
                self._kept.popitem(last=False)
        return kept


async def _each(servers: Sequence[Server], look: Callable[[Server], Awaitable[list[Any]]]) -> list[Any]:
    """Look at all servers at once and return what they gave, in their order. One that fails hides no other."""
    turns = asyncio.Semaphore(DISCOVER_AT_ONCE)

    async def one(server: Server) -> list[Any]:
        try:
            async with turns, asyncio.timeout(OFFER_SECONDS):
                return await look(server)
        except (PlatformError, RpcFailed, TimeoutError, msgspec.DecodeError, RecursionError) as error:
            _log.info("%s is left out of a list: %s", server.definition.slug, error)
            return []

    return [thing for things in await asyncio.gather(*(one(server) for server in servers)) for thing in things]


def _one_each(found: Iterable[Named[dict[str, Any]]]) -> list[OfferedResource]:
    by_uri: dict[str, OfferedResource] = {}
    for thing in found:
        by_uri.setdefault(thing.name, OfferedResource(thing.name, thing.server, thing.what))
    return list(by_uri.values())
