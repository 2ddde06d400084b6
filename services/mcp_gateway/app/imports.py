"""Importing the servers of a client's file: what would come of each, and registering those with nothing in the way."""

from collections.abc import Mapping
from typing import Literal
from uuid import UUID

import msgspec

from services.mcp_gateway.app.admission import refusals
from services.mcp_gateway.app.ports import LaunchRules, ServerRegistry
from services.mcp_gateway.domain.clients.config import ClientConfig
from services.mcp_gateway.domain.clients.exporting import is_own_endpoint
from services.mcp_gateway.domain.clients.importing import Draft, drafts_of
from services.mcp_gateway.domain.server import ServerDefinition
from services.mcp_gateway.errors import SlugTaken
from shared.errors import Conflict, FieldFault, NotFound
from shared.ids import derived_id
from shared.scope import TenantScope


class Imported(msgspec.Struct, frozen=True):
    """What becomes of a server of a file.

    `ready` would be registered; `registered` was; `there` is registered as it stands in the file, under its slug.
    """

    draft: Draft
    status: Literal["ready", "refused", "registered", "there"]
    faults: list[FieldFault]
    server_id: UUID | None = None


class Imports:
    """Looks at files and registers what is in them."""

    def __init__(self, registry: ServerRegistry, rules: LaunchRules) -> None:
        self._registry = registry
        self._rules = rules

    async def look(
        self, scope: TenantScope, config: ClientConfig, answers: Mapping[str, str], origin: str
    ) -> list[Imported]:
        """Return what would become of each server. `origin` is where this platform is asked, so that it sees itself."""
        taken: set[str] = set()
        found = []
        for draft in drafts_of(config, answers):
            found.append(await self._look_at(scope, draft, origin, again=draft.slug in taken))
            taken.add(draft.slug)
        return found

    async def apply(
        self, scope: TenantScope, config: ClientConfig, answers: Mapping[str, str], origin: str, request_id: UUID
    ) -> list[Imported]:
        """Register what is ready. The same `request_id` makes the same servers, however often it is applied."""
        looked = await self.look(scope, config, answers, origin)
        return [await self._register(scope, found, request_id) for found in looked]

    async def _look_at(self, scope: TenantScope, draft: Draft, origin: str, *, again: bool) -> Imported:
        if draft.definition is None:
            return Imported(draft, "refused", draft.faults)
        faults = [*draft.faults, *refusals(draft.definition, self._rules)]
        if is_own_endpoint(draft.definition.url or "", origin):
            faults.append(FieldFault("url", "This is the platform itself: its tools are here already.", "own_endpoint"))
        there = await self._there(scope, draft.slug)
        if there is not None and there[1] == draft.definition:
            return Imported(draft, "there", faults, there[0])
        if there is not None or again:
            faults.append(FieldFault("slug", f"There is an MCP server with the slug {draft.slug!r}.", SlugTaken.code))
        return Imported(draft, "refused" if faults else "ready", faults)

    async def _there(self, scope: TenantScope, slug: str) -> tuple[UUID, ServerDefinition] | None:
        try:
            server = await self._registry.read(scope, slug)
        except NotFound:
            return None
        return (server.id, server.definition) if server.definition.slug == slug else None

    async def _register(self, scope: TenantScope, found: Imported, request_id: UUID) -> Imported:
        definition = found.draft.definition
        if found.status != "ready" or definition is None:
            return found
        try:
            kept = await self._registry.register(scope, definition, derived_id("import", request_id, definition.slug))
        except Conflict as error:  # the slug was taken meanwhile, or the tenant has as many servers as it may
            return Imported(found.draft, "refused", [FieldFault("", error.message, error.code)])
        return Imported(found.draft, "registered", [], kept.server.id)
