"""What the MCP gateway reads from its environment."""

from shared.settings import Settings


class McpGatewaySettings(Settings, frozen=True, kw_only=True):
    """What every service needs, and which programs may be started."""

    mcp_gateway_commands: str = ""
    """Comma-separated beginnings of command lines that tenants may register, such as `npx -y @acme/server`.

    Empty: none but the bundled servers. A bare interpreter in the list allows everything.
    """
    mcp_gateway_public_hosts: str = ""
    """Comma-separated host names by which the MCP endpoint is reached, beside `localhost` and addresses."""
    mcp_gateway_secrets_seed: str = ""
    """nkey seed (`SU…`) that questions for secrets are signed with; without it servers and calls can name none."""
