"""The MCP gateway's HTTP API."""

from litestar import Litestar

from services.mcp_gateway.app.calls import ToolCalls
from services.mcp_gateway.app.ports import Records
from services.mcp_gateway.app.trust import Trust
from services.mcp_gateway.entry.definitions_api import DEFINITION_ROUTES
from services.mcp_gateway.entry.executions_api import EXECUTION_ROUTES
from services.mcp_gateway.entry.servers_api import SERVER_ROUTES, Gateway
from services.mcp_gateway.errors import STATUSES
from shared.http.app import make_app
from shared.http.problems import register_statuses
from shared.runtime import Runtime


def make_api(rt: Runtime, gateway: Gateway, trust: Trust, calls: ToolCalls, records: Records) -> Litestar:
    """Return the application."""
    register_statuses(STATUSES)
    return make_app(
        rt.service,
        "MCP gateway",
        [*SERVER_ROUTES, *DEFINITION_ROUTES, *EXECUTION_ROUTES],
        verifier=rt.verifier,
        registry=rt.registry,
        readiness=rt.readiness,
        state={
            "gateway": gateway,
            "trust": trust,
            "calls": calls,
            "records": records,
            "views": gateway.views,
            "tenants": rt.tenants,
        },
    )
