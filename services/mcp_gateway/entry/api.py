"""The MCP gateway's HTTP API."""

import msgspec
from litestar import Litestar

from services.mcp_gateway.app.calls import ToolCalls
from services.mcp_gateway.app.catalogue import Catalogue
from services.mcp_gateway.app.configs import ConfigStore
from services.mcp_gateway.app.imports import Imports
from services.mcp_gateway.app.ports import Records
from services.mcp_gateway.app.profiles import Profiles
from services.mcp_gateway.app.trust import Trust
from services.mcp_gateway.entry.clients_api import CLIENT_ROUTES
from services.mcp_gateway.entry.configs_api import CONFIG_ROUTES
from services.mcp_gateway.entry.definitions_api import DEFINITION_ROUTES
from services.mcp_gateway.entry.executions_api import EXECUTION_ROUTES
from services.mcp_gateway.entry.registry_api import REGISTRY_ROUTES
from services.mcp_gateway.entry.servers_api import SERVER_ROUTES, Gateway
from services.mcp_gateway.errors import STATUSES
from shared.http.app import make_app
from shared.http.problems import register_statuses
from shared.runtime import Runtime

ROUTES = [
    *SERVER_ROUTES,
    *DEFINITION_ROUTES,
    *CONFIG_ROUTES,
    *EXECUTION_ROUTES,
    *REGISTRY_ROUTES,
    *CLIENT_ROUTES,
]


class Parts(msgspec.Struct, frozen=True):
    """What the routes work with."""

    gateway: Gateway
    trust: Trust
    configs: ConfigStore
    calls: ToolCalls
    records: Records
    catalogue: Catalogue
    profiles: Profiles


def make_api(rt: Runtime, parts: Parts) -> Litestar:
    """Return the application."""
    register_statuses(STATUSES)
    gateway = parts.gateway
    return make_app(
        rt.service,
        "MCP gateway",
        ROUTES,
        verifier=rt.verifier,
        registry=rt.registry,
        readiness=rt.readiness,
        state={
            **{name: getattr(parts, name) for name in parts.__struct_fields__},
            "views": gateway.views,
            "tenants": rt.tenants,
            "imports": Imports(gateway.registry, gateway.launch_rules),
        },
    )
