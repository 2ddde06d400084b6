"""The MCP endpoint: `/mcp` and `/mcp/{profile}` by streamable HTTP, in both eras of the protocol."""
