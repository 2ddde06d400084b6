"""A database as an MCP server, for reading only: PostgreSQL by a restricted login, or an SQLite file.

`python -m services.mcp_gateway.servers.database --url postgresql://…`; what holds: docs/adr/0033-database-server.md.
"""
