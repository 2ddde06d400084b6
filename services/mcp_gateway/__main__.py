"""`python -m services.mcp_gateway` serves until SIGTERM."""

from services.mcp_gateway.bootstrap import NAME, run
from services.mcp_gateway.config import McpGatewaySettings
from shared.runtime import run_service
from shared.settings import read_settings


def main() -> None:
    """Read the environment and serve."""
    settings = read_settings(McpGatewaySettings, NAME)
    run_service(NAME, settings, lambda: run(settings))


if __name__ == "__main__":
    main()
