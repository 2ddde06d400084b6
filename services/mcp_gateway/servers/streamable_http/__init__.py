"""Serving a `ToolServer` by streamable HTTP, in both MCP eras: each POST is answered with JSON."""
