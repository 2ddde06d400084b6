"""`/api/v1/mcp/configs`: the rules of using servers."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.datastructures import State

from services.mcp_gateway.app.configs import ConfigFilter, ConfigStore, check_against, warnings_of
from services.mcp_gateway.app.reading import ServerFilter
from services.mcp_gateway.domain.config import Config, restarts
from services.mcp_gateway.entry.config_shapes import ConfigList, ConfigPatch, ConfigView, NewConfig, config_view
from services.mcp_gateway.entry.servers_api import Gateway
from shared.auth.scopes import MCP_READ, MCP_WRITE
from shared.errors import PreconditionFailed
from shared.http.idempotency import once
from shared.http.pages import DEFAULT_LIMIT, Cursor, Limit, Offset, Word, cut, decode_place
from shared.http.positions import EVENT_POSITION
from shared.paging import Place
from shared.scope import TenantScope

_TAGS = ["mcp configs"]


@post("/api/v1/mcp/configs", opt={"scope": MCP_WRITE}, summary="Make a config", tags=_TAGS)
async def create_config(
    request: Request[Any, Any, Any], data: NewConfig, caller: TenantScope, state: State
) -> Response[ConfigView]:
    """Give the use of a server rules: for the whole tenant, for one agent, or under a profile."""
    gateway: Gateway = state.gateway
    configs: ConfigStore = state.configs
    server = await gateway.registry.read(caller, data.server_id)
    definition = data.definition(server.id)
    check_against(definition, server, gateway.launch_rules)

    async def handle(config_id: UUID) -> Response[ConfigView]:
        kept = await configs.create(caller, definition, config_id)
        warnings = warnings_of(kept.config.definition, await _known_tools(gateway, caller, server.id))
        headers = {
            "Location": f"/api/v1/mcp/configs/{kept.config.id}",
            "ETag": _etag(kept.config),
            EVENT_POSITION: str(kept.position),
        }
        return Response(config_view(kept.config, warnings), status_code=201, headers=headers)

    return await once(request, caller, gateway.tenants, handle)


@get("/api/v1/mcp/configs", opt={"scope": MCP_READ}, summary="List configs", tags=_TAGS)
async def list_configs(
    caller: TenantScope,
    state: State,
    server_id: UUID | None = None,
    agent_id: UUID | None = None,
    profile: Word = None,
    offset: Offset = 0,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> ConfigList:
    """List the tenant's configs in the order of their making."""
    configs: ConfigStore = state.configs
    after = decode_place(cursor)
    wanted = ConfigFilter(server_id, agent_id, profile)
    rows, total = await configs.page(caller, wanted, limit + 1, 0 if after else offset, after)
    shown, following = cut(rows, limit, lambda config: Place(config.created_at, config.id))
    return ConfigList([config_view(config) for config in shown], total, offset, limit, following)


@get("/api/v1/mcp/configs/{config_id:uuid}", opt={"scope": MCP_READ}, summary="One config", tags=_TAGS)
async def get_config(config_id: UUID, caller: TenantScope, state: State) -> Response[ConfigView]:
    """Return a config."""
    configs: ConfigStore = state.configs
    config = await configs.read(caller, config_id)
    return Response(config_view(config), headers={"ETag": _etag(config)})


@patch("/api/v1/mcp/configs/{config_id:uuid}", opt={"scope": MCP_WRITE}, summary="Change a config", tags=_TAGS)
async def change_config(
    request: Request[Any, Any, Any], config_id: UUID, data: ConfigPatch, caller: TenantScope, state: State
) -> Response[ConfigView]:
    """Change what is named. Other overrides end the server's sessions, once their calls are over.

    `enabled` can always be changed, also where the server has become one that the config does not fit any more.
    """
    gateway: Gateway = state.gateway
    configs: ConfigStore = state.configs
    config = await configs.read(caller, config_id)
    _check_match(request, config)
    changes = data.changes()
    definition = msgspec.structs.replace(config.definition, **changes)
    server = await gateway.registry.read(caller, str(definition.server_id))
    if changes.keys() - {"enabled"}:
        check_against(definition, server, gateway.launch_rules)
    kept = await configs.change(caller, config, definition)
    if restarts(config.definition, definition):
        await gateway.sessions.forget(server)
    warnings = warnings_of(definition, await _known_tools(gateway, caller, server.id))
    headers = {"ETag": _etag(kept.config), EVENT_POSITION: str(kept.position)}
    return Response(config_view(kept.config, warnings), headers=headers)


@delete("/api/v1/mcp/configs/{config_id:uuid}", opt={"scope": MCP_WRITE}, summary="Remove a config", tags=_TAGS)
async def remove_config(
    request: Request[Any, Any, Any], config_id: UUID, caller: TenantScope, state: State
) -> Response[None]:
    """Take a config away: what it forbade is allowed again, unless another config forbids it."""
    configs: ConfigStore = state.configs
    config = await configs.read(caller, config_id)
    _check_match(request, config)
    position = await configs.remove(caller, config)
    return Response(None, status_code=204, headers={EVENT_POSITION: str(position)})


async def _known_tools(gateway: Gateway, caller: TenantScope, server_id: UUID) -> list[str]:
    rows, _ = await gateway.views.servers(caller, ServerFilter(id=server_id), 1)
    return [str(tool["name"]) for row in rows for tool in row.tools]


def _etag(config: Config) -> str:
    return f'"{config.stream_version}"'


def _check_match(request: Request[Any, Any, Any], config: Config) -> None:
    wanted = request.headers.get("if-match")
    if wanted is not None and wanted.strip() not in {"*", _etag(config)}:
        raise PreconditionFailed("The config has changed since you read it: read it again.")


CONFIG_ROUTES: list[Any] = [create_config, list_configs, get_config, change_config, remove_config]
