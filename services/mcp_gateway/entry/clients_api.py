"""`/api/v1/mcp/import` and `/export`: configuration files of MCP clients."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.params import Parameter

from services.mcp_gateway.app.imports import Imported, Imports
from services.mcp_gateway.app.profiles import Profiles
from services.mcp_gateway.domain.clients.config import read_config
from services.mcp_gateway.domain.clients.exporting import Client, Exported, export, is_host
from services.mcp_gateway.domain.clients.jsonc import load_jsonc
from services.mcp_gateway.entry.registry_shapes import ImportAnswer, ImportRequest, imported_view
from services.mcp_gateway.limits import IMPORT_MAX_BYTES
from shared.auth.scopes import MCP_READ, MCP_WRITE
from shared.db.pool import TenantPool
from shared.errors import InvalidInput, TooLarge
from shared.http.idempotency import once
from shared.scope import TenantScope

_TAGS = ["mcp clients"]
Profile = Annotated[
    str | None,
    Parameter(description="Name of a profile.", pattern=r"\A[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?\Z", max_length=63),
]


@post("/api/v1/mcp/import", opt={"scope": MCP_WRITE}, status_code=200, summary="Import a client's servers", tags=_TAGS)
async def import_servers(
    request: Request[Any, Any, Any], data: ImportRequest, caller: TenantScope, state: State
) -> Response[ImportAnswer]:
    """Say what would be registered of a file of Claude, Cursor or VS Code, and with `apply` register it.

    What is in the way of a server is listed in full. Values that look like credentials are not kept: they are named as
    secrets, which have to be set first.
    """
    imports: Imports = state.imports
    tenants: TenantPool = state.tenants
    if len(await request.body()) > IMPORT_MAX_BYTES:
        raise TooLarge(f"A file has at most {IMPORT_MAX_BYTES:,} bytes.")
    config = read_config(load_jsonc(data.config) if isinstance(data.config, str) else data.config)
    origin = _origin(request)
    if not data.apply:
        return _answer(await imports.look(caller, config, data.inputs, origin), applied=False)

    async def handle(request_id: UUID) -> Response[ImportAnswer]:
        return _answer(await imports.apply(caller, config, data.inputs, origin, request_id), applied=True)

    return await once(request, caller, tenants, handle)


@get("/api/v1/mcp/export", opt={"scope": MCP_READ}, summary="A client's configuration", tags=_TAGS)
async def export_servers(
    request: Request[Any, Any, Any], caller: TenantScope, state: State, client: Client, profile: Profile = None
) -> Exported:
    """Return the file by which an MCP client reaches this gateway at the address that this request was sent to."""
    profiles: Profiles = state.profiles
    if profile is not None:
        await profiles.known(caller, profile)
    return export(client, _origin(request), profile)


def _origin(request: Request[Any, Any, Any]) -> str:
    # The host is the one that the caller itself asked for, and the answer goes to nobody else. X-Forwarded-Host could
    # come from anybody; only the scheme, which this side of a proxy cannot know, is taken from what was forwarded.
    host = request.headers.get("host", "")
    if not is_host(host):
        raise InvalidInput("The Host header names no host.")
    scheme = "https" if "https" in (request.headers.get("x-forwarded-proto"), request.url.scheme) else "http"
    return f"{scheme}://{host}"


def _answer(found: list[Imported], *, applied: bool) -> Response[ImportAnswer]:
    return Response(ImportAnswer(applied, [imported_view(one) for one in found]), status_code=200)


CLIENT_ROUTES: list[Any] = [import_servers, export_servers]
