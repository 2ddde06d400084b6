"""The MCP gateway's HTTP API."""

from litestar import Litestar

from services.mcp_gateway.app.calls import ToolCalls
from services.mcp_gateway.app.catalogue import Catalogue
from services.mcp_gateway.app.imports import Imports
from services.mcp_gateway.app.ports import Records
from services.mcp_gateway.app.profiles import Profiles
from services.mcp_gateway.entry.clients_api import CLIENT_ROUTES
from services.mcp_gateway.entry.executions_api import EXECUTION_ROUTES
from services.mcp_gateway.entry.registry_api import REGISTRY_ROUTES
from services.mcp_gateway.entry.servers_api import SERVER_ROUTES, Gateway
from services.mcp_gateway.errors import STATUSES
from shared.http.app import make_app
from shared.http.problems import register_statuses
from shared.runtime import Runtime


def make_api(
    rt: Runtime, gateway: Gateway, calls: ToolCalls, records: Records, catalogue: Catalogue, profiles: Profiles
) -> Litestar:
    """Return the application."""
    register_statuses(STATUSES)
    return make_app(
        rt.service,
        "MCP gateway",
        [*SERVER_ROUTES, *EXECUTION_ROUTES, *REGISTRY_ROUTES, *CLIENT_ROUTES],
        verifier=rt.verifier,
        registry=rt.registry,
        readiness=rt.readiness,
        state={
            "gateway": gateway,
            "calls": calls,
            "records": records,
            "views": gateway.views,
            "tenants": rt.tenants,
            "catalogue": catalogue,
            "profiles": profiles,
            "imports": Imports(gateway.registry, gateway.launch_rules),
        },
    )
