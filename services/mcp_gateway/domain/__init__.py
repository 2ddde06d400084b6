"""What is true of MCP servers and of calls to their tools."""
