"""Configuration files of MCP clients: reading them, and writing them."""
