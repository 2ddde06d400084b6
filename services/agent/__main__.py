"""`python -m services.agent` serves until SIGTERM."""

from services.agent.bootstrap import NAME, run
from services.agent.config import AgentSettings
from shared.runtime import run_service
from shared.settings import read_settings


def main() -> None:
    """Read the environment and serve."""
    settings = read_settings(AgentSettings, NAME)
    run_service(NAME, settings, lambda: run(settings))


if __name__ == "__main__":
    main()
