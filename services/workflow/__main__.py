"""`python -m services.workflow`."""

from services.workflow.bootstrap import NAME, run
from services.workflow.config import WorkflowSettings
from shared.runtime import run_service
from shared.settings import read_settings


def main() -> None:
    """Read the environment and serve until SIGTERM."""
    settings = read_settings(WorkflowSettings, NAME)
    run_service(NAME, settings, lambda: run(settings))


if __name__ == "__main__":
    main()
