"""The MCP gateway: one door to the tools of many MCP servers, which knows who is asking and records every call."""
