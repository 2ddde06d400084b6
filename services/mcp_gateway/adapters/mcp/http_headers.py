"""The request headers of streamable HTTP. From 2026-07-28 on they repeat what the body says, and must agree with it."""

import base64
import re
from collections.abc import Iterable
from typing import Any

from services.mcp_gateway.adapters.mcp.codec import MODERN_VERSION
from services.mcp_gateway.adapters.mcp.model import ToolDefinition

ParamHeaders = dict[tuple[str, ...], str]
"""Path of an argument, by property names -> the token of its `Mcp-Param-` header."""

_NAME_PARAMS = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PLAIN = re.compile(r"[\x20-\x7e]*")
_SCHEMA_DEPTH_MAX = 16


def modern_headers(method: str, params: dict[str, Any], param_headers: ParamHeaders | None) -> dict[str, str]:
    """Return the routing headers of one request: revision, method, name, and the arguments that the tool wants."""
    headers = {"mcp-protocol-version": MODERN_VERSION, "mcp-method": method}
    name_param = _NAME_PARAMS.get(method)
    if name_param is not None:
        headers["mcp-name"] = encode_value(str(params[name_param]))
    for path, token in (param_headers or {}).items():
        rendered = _rendered(_at(params.get("arguments"), path))
        if rendered is not None:
            headers[f"mcp-param-{token}"] = encode_value(rendered)
    return headers


def param_headers_of(tools: Iterable[ToolDefinition]) -> dict[str, ParamHeaders]:
    """Read the `x-mcp-header` annotations of all tools that have some."""
    found = {}
    for tool in tools:
        headers: ParamHeaders = {}
        _collect(tool.input_schema, (), headers)
        if headers:
            found[tool.name] = headers
    return found


def encode_value(value: str) -> str:
    """Return the value as it can stand in a header; what would not survive there goes as `=?base64?…?=`."""
    if _PLAIN.fullmatch(value) and value == value.strip() and not value.startswith("=?base64?"):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def _collect(schema: Any, path: tuple[str, ...], headers: ParamHeaders) -> None:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or len(path) >= _SCHEMA_DEPTH_MAX:
        return
    for name, field in properties.items():
        token = field.get("x-mcp-header") if isinstance(field, dict) else None
        # Fractions are not mirrored: their text is not the same in every language.
        if isinstance(token, str) and _TOKEN.fullmatch(token) and field.get("type") in {"string", "integer", "boolean"}:
            headers[*path, name] = token
        _collect(field, (*path, name), headers)


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _rendered(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None
