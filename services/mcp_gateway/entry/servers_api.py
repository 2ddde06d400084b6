"""`/api/v1/mcp/servers`: the registry, discovery and health."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.datastructures import State
from litestar.params import Parameter

from services.mcp_gateway.app.health import Healths
from services.mcp_gateway.app.ports import Kept, LaunchRules, ServerRegistry, Sessions
from services.mcp_gateway.app.reading import Reads, ServerFilter, ServerRow
from services.mcp_gateway.app.sightings import Sightings
from services.mcp_gateway.domain.server import BUNDLED, Server, ServerDefinition, Status
from services.mcp_gateway.domain.server_rules import check_definition
from services.mcp_gateway.entry.shapes import (
    DiscoveredServer,
    Discovery,
    HealthList,
    NewServer,
    ServerHealth,
    ServerList,
    ServerPatch,
    ServerView,
    discovered,
    server_view,
)
from services.mcp_gateway.limits import SERVERS_PER_TENANT_MAX
from shared.auth.scopes import MCP_READ, MCP_WRITE
from shared.db.pool import TenantPool
from shared.errors import Conflict, FieldFault, PreconditionFailed, Unprocessable
from shared.http.idempotency import once
from shared.http.pages import DEFAULT_LIMIT, Cursor, Limit, Offset, cut, decode_place
from shared.http.positions import EVENT_POSITION
from shared.paging import Place
from shared.scope import TenantScope

_TAGS = ["mcp servers"]
_BUNDLED_FIXED = frozenset(ServerDefinition.__struct_fields__) - {"description", "visibility"}

Reference = Annotated[str, Parameter(description="The server's id or slug.", max_length=100, pattern=r"^[^\x00]*$")]
Text = Annotated[str | None, Parameter(max_length=200, pattern=r"^[^\x00]*$")]


class Gateway(msgspec.Struct, frozen=True):
    """What these routes work with."""

    tenants: TenantPool
    registry: ServerRegistry
    views: Reads
    sightings: Sightings
    healths: Healths
    sessions: Sessions
    launch_rules: LaunchRules


@post("/api/v1/mcp/servers", opt={"scope": MCP_WRITE}, summary="Register a server", tags=_TAGS)
async def create_server(
    request: Request[Any, Any, Any], data: NewServer, caller: TenantScope, state: State
) -> Response[ServerView]:
    """Register an MCP server. It is started when it is first needed."""
    gateway: Gateway = state.gateway
    definition = data.definition()
    check_definition(definition)
    _refuse_bundled(definition)
    gateway.launch_rules.check(definition)

    async def handle(server_id: UUID) -> Response[ServerView]:
        return registered(await gateway.registry.register(caller, definition, server_id))

    return await once(request, caller, gateway.tenants, handle)


@get("/api/v1/mcp/servers", opt={"scope": MCP_READ}, summary="List servers", tags=_TAGS)
async def list_servers(
    caller: TenantScope,
    state: State,
    status: Status | None = None,
    category: Text = None,
    server_type: Text = None,
    offset: Offset = 0,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> ServerList:
    """List the tenant's servers in the order of their registration."""
    gateway: Gateway = state.gateway
    await gateway.registry.furnish(caller)
    wanted = ServerFilter(status=status, category=category, server_type=server_type)
    after = decode_place(cursor)
    rows, total = await gateway.views.servers(caller, wanted, limit + 1, 0 if after else offset, after)
    shown, following = cut(rows, limit, lambda row: Place(row.server.created_at, row.server.id))
    return ServerList([server_view(row) for row in shown], total, offset, limit, following)


@get("/api/v1/mcp/servers/{reference:str}", opt={"scope": MCP_READ}, summary="One server", tags=_TAGS)
async def get_server(reference: Reference, caller: TenantScope, state: State) -> Response[ServerView]:
    """Return a server with its health and counters."""
    gateway: Gateway = state.gateway
    server = await gateway.registry.read(caller, reference)
    return await _shown(gateway, caller, server)


@patch("/api/v1/mcp/servers/{reference:str}", opt={"scope": MCP_WRITE}, summary="Change a server", tags=_TAGS)
async def change_server(
    request: Request[Any, Any, Any], reference: Reference, data: ServerPatch, caller: TenantScope, state: State
) -> Response[ServerView]:
    """Change what is named. A change of how it is reached ends its sessions, once their calls are over."""
    gateway: Gateway = state.gateway
    server = await gateway.registry.read(caller, reference)
    _check_match(request, server)
    changes = data.changes()
    status: Status = changes.pop("status", server.status)
    if server.bundled and _BUNDLED_FIXED & changes.keys():
        raise Conflict("A bundled server is the platform's: only its description, visibility and status can change.")
    definition = msgspec.structs.replace(server.definition, **changes)
    check_definition(definition)
    if not server.bundled:
        _refuse_bundled(definition)
        gateway.launch_rules.check(definition)
    kept = await gateway.registry.change(caller, server, definition, status)
    changed = kept.server
    if changed.revision != server.revision or changed.status != "active":
        await gateway.sessions.forget(server)
    return await _shown(gateway, caller, changed, {EVENT_POSITION: str(kept.position)})


@delete("/api/v1/mcp/servers/{reference:str}", opt={"scope": MCP_WRITE}, summary="Remove a server", tags=_TAGS)
async def remove_server(
    request: Request[Any, Any, Any], reference: Reference, caller: TenantScope, state: State
) -> Response[None]:
    """Take a server out of the registry. The history of its calls stays."""
    gateway: Gateway = state.gateway
    server = await gateway.registry.read(caller, reference)
    _check_match(request, server)
    if server.bundled:
        raise Conflict("A bundled server cannot be removed; set its status to `disabled`.")
    position = await gateway.registry.remove(caller, server)
    await gateway.sessions.forget(server)
    return Response(None, status_code=204, headers={EVENT_POSITION: str(position)})


@get("/api/v1/mcp/servers/{reference:str}/discover", opt={"scope": MCP_READ}, summary="What it offers", tags=_TAGS)
async def discover_server(
    reference: Reference, caller: TenantScope, state: State, detail: Literal["names", "full"] = "names"
) -> Discovery:
    """Return the server's tools, starting it if need be."""
    gateway: Gateway = state.gateway
    server = await gateway.registry.read(caller, reference)
    offer = await gateway.sightings.discover(caller, server)
    return Discovery([discovered(offer, full=detail == "full")], 1)


@get("/api/v1/mcp/discover", opt={"scope": MCP_READ}, summary="What all servers offer", tags=_TAGS)
async def discover_servers(caller: TenantScope, state: State, detail: Literal["names", "full"] = "names") -> Discovery:
    """Return the tools of all active servers; one that cannot be reached is listed with its error."""
    gateway: Gateway = state.gateway
    await gateway.registry.furnish(caller)
    rows, _ = await gateway.views.servers(caller, ServerFilter(status="active"), SERVERS_PER_TENANT_MAX)
    offers = await gateway.sightings.discover_all(caller, [row.server for row in rows])
    shown = [discovered(offer, full=detail == "full") for offer in offers]
    return Discovery(shown, sum(_answered(server) for server in shown))


@post(
    "/api/v1/mcp/servers/{reference:str}/health",
    opt={"scope": MCP_READ},
    status_code=200,
    summary="Check a server now",
    tags=_TAGS,
)
async def check_health(reference: Reference, caller: TenantScope, state: State) -> ServerHealth:
    """Ask the server for a sign of life, starting it if need be. That it has none is an answer, not an error."""
    gateway: Gateway = state.gateway
    server = await gateway.registry.read(caller, reference)
    await gateway.sightings.check(caller, server)
    rows, _ = await gateway.views.servers(caller, ServerFilter(id=server.id), 1)
    return _health(gateway, rows[0] if rows else _fresh(server))


@get("/api/v1/mcp/health", opt={"scope": MCP_READ}, summary="Health of all servers", tags=_TAGS)
async def list_health(caller: TenantScope, state: State) -> HealthList:
    """Return how each server was last seen. Nothing is started for it."""
    gateway: Gateway = state.gateway
    await gateway.registry.furnish(caller)
    rows, total = await gateway.views.servers(caller, ServerFilter(), SERVERS_PER_TENANT_MAX)
    seen = [_health(gateway, row) for row in rows]
    count = [server.health_status for server in seen].count
    return HealthList(seen, total, count("healthy"), count("unhealthy"), count("unknown"), count("degraded"))


def registered(kept: Kept) -> Response[ServerView]:
    """Answer a registration."""
    server = kept.server
    headers = {
        "Location": f"/api/v1/mcp/servers/{server.id}",
        "ETag": _etag(server),
        EVENT_POSITION: str(kept.position),
    }
    return Response(server_view(_fresh(server)), status_code=201, headers=headers)


def _health(gateway: Gateway, row: ServerRow) -> ServerHealth:
    state = gateway.sessions.state(row.server)
    failing = gateway.healths.status(row.server) or "healthy"
    return ServerHealth(
        server_id=row.server.id,
        name=row.server.definition.name,
        slug=row.server.definition.slug,
        health_status=row.health_status if failing == "healthy" else failing,
        last_health_check=row.checked_at,
        latency_ms=row.latency_ms,
        error_message=row.error_message,
        session_alive=state is not None and state.alive,
        calls_in_flight=state.in_flight if state is not None else 0,
        retry_after_s=round(state.retry_after_s, 3) if state is not None else 0.0,
        circuit=gateway.healths.circuit(row.server),
        latency=gateway.healths.latency(row.server),
    )


def _answered(server: DiscoveredServer) -> bool:
    return server.error_code is None


def _fresh(server: Server) -> ServerRow:
    return ServerRow(server, "unknown", None, None, None, [], [], [], 0, 0, 0)


async def _shown(
    gateway: Gateway, caller: TenantScope, server: Server, headers: dict[str, str] | None = None
) -> Response[ServerView]:
    rows, _ = await gateway.views.servers(caller, ServerFilter(id=server.id), 1)
    row = rows[0] if rows else _fresh(server)
    return Response(server_view(row), headers={"ETag": _etag(row.server), **(headers or {})})


def _etag(server: Server) -> str:
    return f'"{server.stream_version}"'


def _check_match(request: Request[Any, Any, Any], server: Server) -> None:
    wanted = request.headers.get("if-match")
    if wanted is not None and wanted.strip() not in {"*", _etag(server)}:
        raise PreconditionFailed("The server has changed since you read it: read it again.")


def _refuse_bundled(definition: ServerDefinition) -> None:
    if definition.category == BUNDLED:
        message = "This category is for the servers that come with the platform."
        raise Unprocessable(message, faults=[FieldFault("category", message)])


SERVER_ROUTES: list[Any] = [
    create_server,
    list_servers,
    get_server,
    change_server,
    remove_server,
    discover_server,
    discover_servers,
    check_health,
    list_health,
]
