"""Sessions with MCP servers: the wire codec of both protocol eras, stdio and streamable HTTP transports, and a pool."""
