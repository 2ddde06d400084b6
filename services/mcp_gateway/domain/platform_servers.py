"""The servers that are parts of the platform: every tenant has them, and nothing is started for them."""

from services.mcp_gateway.domain.server import BUNDLED, PLATFORM, ServerDefinition

WORKFLOWS = ServerDefinition(
    name="Workflows",
    slug="workflows",
    server_type=PLATFORM,
    description="Run the workflows that are exposed as tools, and look at their executions.",
    category=BUNDLED,
    author="agentic-platform",
    visibility="public",
)
PLATFORM_SERVERS = (WORKFLOWS,)
