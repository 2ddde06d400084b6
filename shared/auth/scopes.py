"""The scopes that exist. Roles are sets of them (tenant service)."""

WORKFLOWS_READ = "workflows:read"
WORKFLOWS_WRITE = "workflows:write"
WORKFLOWS_EXECUTE = "workflows:execute"
MCP_READ = "mcp:read"
MCP_WRITE = "mcp:write"
MCP_EXECUTE = "mcp:execute"
RAG_READ = "rag:read"
RAG_WRITE = "rag:write"
AGENTS_READ = "agents:read"
AGENTS_WRITE = "agents:write"
AGENTS_EXECUTE = "agents:execute"
TENANTS_ADMIN = "tenants:admin"
AUDIT_READ = "audit:read"

ALL_SCOPES = frozenset(
    {
        WORKFLOWS_READ, WORKFLOWS_WRITE, WORKFLOWS_EXECUTE, MCP_READ, MCP_WRITE, MCP_EXECUTE, RAG_READ, RAG_WRITE,
        AGENTS_READ, AGENTS_WRITE, AGENTS_EXECUTE, TENANTS_ADMIN, AUDIT_READ,
    }
)  # fmt: skip
