"""What a call gave, as the result of `tools/call`: a value, or why there is none."""

import logging
from typing import Any

import msgspec

from services.mcp_gateway.servers.tools import Tool, ToolOutput, ToolRefused

_log = logging.getLogger(__name__)


def succeeded(value: Any) -> dict[str, Any]:
    if isinstance(value, ToolOutput):
        return {"content": [{"type": "text", "text": value.text}], "structuredContent": value.structured}
    if isinstance(value, msgspec.Struct):
        value = msgspec.to_builtins(value, str_keys=True)
        return {"content": [{"type": "text", "text": msgspec.json.encode(value).decode()}], "structuredContent": value}
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return {"content": [{"type": "text", "text": text}], "structuredContent": {"result": value}}


def failed(tool: Tool, error: Exception) -> dict[str, Any]:
    if isinstance(error, ToolRefused):
        code, message = error.code, error.message
    else:
        _log.error("the tool %s failed", tool.name, exc_info=error)
        code, message = "internal", "The tool failed."
    return {
        "content": [{"type": "text", "text": message}],
        "structuredContent": {"error": {"code": code, "message": message}},
        "isError": True,
    }
