"""The request headers of streamable HTTP. From 2026-07-28 on they repeat what the body says, and must agree with it."""

from collections.abc import Iterable
from typing import Any

from services.mcp_gateway.adapters.mcp.model import ToolDefinition
from services.mcp_gateway.domain.param_headers import ParamHeaders, encode_value, param_headers_of, rendered_params
from services.mcp_gateway.domain.rpc import MODERN_VERSION, NAME_PARAMS


def modern_headers(method: str, params: dict[str, Any], param_headers: ParamHeaders | None) -> dict[str, str]:
    """Return the routing headers of one request: revision, method, name, and the arguments that the tool wants."""
    headers = {"mcp-protocol-version": MODERN_VERSION, "mcp-method": method}
    name_param = NAME_PARAMS.get(method)
    if name_param is not None:
        headers["mcp-name"] = encode_value(str(params[name_param]))
    return headers | rendered_params(param_headers or {}, params.get("arguments"))


def param_headers_by_tool(tools: Iterable[ToolDefinition]) -> dict[str, ParamHeaders]:
    """Read the `x-mcp-header` annotations of all tools that have some."""
    found = {tool.name: param_headers_of(tool.input_schema) for tool in tools}
    return {name: headers for name, headers in found.items() if headers}
