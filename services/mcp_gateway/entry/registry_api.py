"""`/api/v1/mcp/registry`: the catalogue of servers that can be installed."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, delete, get, post
from litestar.datastructures import State
from litestar.params import Parameter

from services.mcp_gateway.app.catalogue import Catalogue, Wanted
from services.mcp_gateway.domain.catalogue.entries import SLUG_MAX_CHARS
from services.mcp_gateway.domain.catalogue.server_json import ServerJson
from services.mcp_gateway.entry.registry_shapes import (
    EntryDetail,
    EntryList,
    InstallRequest,
    entry_detail,
    entry_view,
)
from services.mcp_gateway.entry.servers_api import Gateway, registered
from services.mcp_gateway.entry.shapes import ServerView
from shared.auth.scopes import MCP_READ, MCP_WRITE
from shared.db.pool import TenantPool
from shared.http.idempotency import once
from shared.http.pages import DEFAULT_LIMIT, Limit, Offset, Word
from shared.http.positions import EVENT_POSITION
from shared.scope import TenantScope

_TAGS = ["mcp catalogue"]
_NO_NUL = r"^[^\x00]*$"

Slug = Annotated[
    str,
    Parameter(
        description="The entry's name in lower case, with ~ for its slash.", max_length=SLUG_MAX_CHARS, pattern=_NO_NUL
    ),
]
After = Annotated[
    str | None,
    Parameter(description="`next_cursor` of the page before.", max_length=SLUG_MAX_CHARS, pattern=_NO_NUL),
]


@get("/api/v1/mcp/registry", opt={"scope": MCP_READ}, summary="Search the catalogue", tags=_TAGS)
async def list_entries(
    caller: TenantScope,
    state: State,
    q: Annotated[Word, Parameter(description="Words that are all in the name, title or description.")] = None,
    type: Annotated[  # noqa: A002 - the name of the query parameter
        Word, Parameter(description="A registry (npm, pypi, …) or a transport (streamable-http, sse).")
    ] = None,
    offset: Offset = 0,
    limit: Limit = DEFAULT_LIMIT,
    cursor: After = None,
) -> EntryList:
    """List what can be installed, by slug: the tenant's own entries and those that come with the platform."""
    catalogue: Catalogue = state.catalogue
    found, total = await catalogue.search(caller, Wanted(q, type, cursor), limit + 1, offset)
    following = found[limit - 1].slug if len(found) > limit else None
    return EntryList([entry_view(entry) for entry in found[:limit]], total, offset, limit, following)


@get("/api/v1/mcp/registry/{slug:str}", opt={"scope": MCP_READ}, summary="One entry", tags=_TAGS)
async def get_entry(slug: Slug, caller: TenantScope, state: State) -> EntryDetail:
    """Return an entry's `server.json`, and what each way to install it asks for."""
    catalogue: Catalogue = state.catalogue
    shelved = await catalogue.read(caller, slug)
    return entry_detail(shelved, catalogue.ways(shelved))


@post("/api/v1/mcp/registry", opt={"scope": MCP_WRITE}, summary="Add an entry", tags=_TAGS)
async def add_entry(
    request: Request[Any, Any, Any], data: ServerJson, caller: TenantScope, state: State
) -> Response[EntryDetail]:
    """Add a `server.json` to the tenant's own catalogue. Nothing is fetched or started for it."""
    catalogue: Catalogue = state.catalogue
    tenants: TenantPool = state.tenants

    async def handle(entry_id: UUID) -> Response[EntryDetail]:
        shelved, position = await catalogue.add(caller, data, entry_id)
        headers = {"Location": f"/api/v1/mcp/registry/{shelved.entry.slug}", EVENT_POSITION: str(position)}
        return Response(entry_detail(shelved, catalogue.ways(shelved)), status_code=201, headers=headers)

    return await once(request, caller, tenants, handle)


@delete("/api/v1/mcp/registry/{slug:str}", opt={"scope": MCP_WRITE}, summary="Remove an entry", tags=_TAGS)
async def remove_entry(slug: Slug, caller: TenantScope, state: State) -> Response[None]:
    """Take an entry of the tenant's own out of the catalogue. Servers that were installed from it stay."""
    catalogue: Catalogue = state.catalogue
    position = await catalogue.remove(caller, slug)
    return Response(None, status_code=204, headers={EVENT_POSITION: str(position)})


@post("/api/v1/mcp/registry/{slug:str}/install", opt={"scope": MCP_WRITE}, summary="Install an entry", tags=_TAGS)
async def install_entry(
    request: Request[Any, Any, Any], slug: Slug, data: InstallRequest, caller: TenantScope, state: State
) -> Response[ServerView]:
    """Register a server made from an entry. It is started when it is first needed; `DELETE /servers/{id}` undoes it."""
    catalogue: Catalogue = state.catalogue
    gateway: Gateway = state.gateway
    definition = await catalogue.prepare(caller, slug, data.choice())

    async def handle(server_id: UUID) -> Response[ServerView]:
        return registered(await gateway.registry.register(caller, definition, server_id))

    return await once(request, caller, gateway.tenants, handle)


REGISTRY_ROUTES: list[Any] = [list_entries, get_entry, add_entry, remove_entry, install_entry]
