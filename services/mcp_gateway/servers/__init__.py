"""The bundled MCP servers. Each is a process of its own: `python -m services.mcp_gateway.servers.<name>`."""
