"""What a bundled MCP server is made of: declare typed functions as tools, then `serve(server)`."""

from collections.abc import Callable
from typing import Any, TypeVar

from services.mcp_gateway.servers.tools import Tool, ToolHints

_Function = TypeVar("_Function", bound=Callable[..., Any])


class ToolServer:
    """A named set of tools that can be served by stdio and by HTTP.

    `@server.tool()` on a function with annotated arguments and a docstring declares a tool. A plain function runs in a
    thread, a coroutine function on the event loop, and an `inline` one on the reader itself: that is the fastest and
    right only when the function's time is bounded to microseconds by its own rules.
    """

    def __init__(self, name: str, *, version: str, instructions: str | None = None) -> None:
        self.name = name
        self.version = version
        self.instructions = instructions
        self.tools: dict[str, Tool] = {}

    def tool(
        self,
        *,
        hints: ToolHints | None = None,
        output_schema: dict[str, Any] | None = None,
        inline: bool = False,
    ) -> Callable[[_Function], _Function]:
        """Declare the decorated function as a tool, under its own name."""

        def declare(function: _Function) -> _Function:
            tool = Tool(function, hints=hints, output_schema=output_schema, inline=inline)
            if tool.name in self.tools:
                raise ValueError(f"the tool {tool.name!r} is declared twice")
            self.tools[tool.name] = tool
            return function

        return declare
