"""The MCP server behind all that is measured, over stdio, or over streamable HTTP with `--http PORT`.

`add` says that it only reads, so that its calls are recorded afterwards; `post` does the same and says nothing of it,
so that its calls are recorded before. Run by path: a gateway starts it where this project is not on the search path.
"""

import sys
from pathlib import Path
from typing import Any

import msgspec

sys.path[0] = str(Path(__file__).resolve().parents[2])  # instead of this folder

from services.mcp_gateway.servers.base import ToolServer  # noqa: E402 - its folder had to be named first
from services.mcp_gateway.servers.stdio import serve_stdio  # noqa: E402 - as above
from services.mcp_gateway.servers.tools import ToolHints, ToolOutput  # noqa: E402 - as above

_SUM: dict[str, Any] = {"type": "object", "properties": {"result": {"type": "integer"}}, "required": ["result"]}
_MODERN = "2026-07-28"
_INFO = {"name": "bench", "version": "1.0.0"}

server = ToolServer("bench", version="1.0.0")


@server.tool(hints=ToolHints(read_only_hint=True, idempotent_hint=True), output_schema=_SUM, inline=True)
def add(a: int, b: int) -> ToolOutput:
    """Add two integers."""
    return ToolOutput({"result": a + b}, str(a + b))


@server.tool(output_schema=_SUM, inline=True)
def post(a: int, b: int) -> ToolOutput:
    """Add two integers, as if something came of it."""
    return ToolOutput({"result": a + b}, str(a + b))


class _Params(msgspec.Struct):
    name: str = ""
    arguments: dict[str, int] = {}


class _Request(msgspec.Struct):
    method: str
    id: int | str | None = None
    params: _Params = msgspec.field(default_factory=_Params)


_decode = msgspec.json.Decoder(_Request).decode


def _result(request: _Request) -> dict[str, Any]:
    if request.method == "tools/call":
        total = sum(request.params.arguments.values())
        return {"content": [{"type": "text", "text": str(total)}], "structuredContent": {"result": total}}
    if request.method == "tools/list":
        return {
            "tools": [tool.definition() for tool in server.tools.values()],
            "ttlMs": 300_000,
            "cacheScope": "public",
        }
    if request.method == "initialize":
        return {"protocolVersion": "2025-11-25", "serverInfo": _INFO, "capabilities": {"tools": {}}}
    if request.method == "server/discover":
        return {"supportedVersions": [_MODERN], "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "public"}
    return {}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer as little as a streamable HTTP server may, in both eras."""
    status, body = 405, b""
    if scope["method"] == "POST":
        text, more = b"", True
        while more:
            message = await receive()
            text, more = text + message.get("body", b""), message.get("more_body", False)
        request = _decode(text)
        status = 202
        if request.id is not None:
            status = 200
            result = {**_result(request), "resultType": "complete"}
            body = msgspec.json.encode({"jsonrpc": "2.0", "id": request.id, "result": result})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Serve until killed, or until stdin ends."""
    if len(sys.argv) < 3:  # noqa: PLR2004 - no `--http PORT`
        serve_stdio(server)
        return
    import uvicorn

    uvicorn.run(
        app, host="127.0.0.1", port=int(sys.argv[2]), loop="uvloop", http="httptools", lifespan="off",
        access_log=False, log_level="warning",
    )  # fmt: skip


if __name__ == "__main__":
    main()
