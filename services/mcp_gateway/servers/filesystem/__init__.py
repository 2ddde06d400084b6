"""Files beneath one folder as an MCP server: `python -m services.mcp_gateway.servers.filesystem --root FOLDER`."""
