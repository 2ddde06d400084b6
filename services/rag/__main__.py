"""`python -m services.rag` serves until SIGTERM."""

from services.rag.bootstrap import NAME, run
from services.rag.config import RagSettings
from shared.runtime import run_service
from shared.settings import read_settings


def main() -> None:
    """Read the environment and serve."""
    settings = read_settings(RagSettings, NAME)
    run_service(NAME, settings, lambda: run(settings))


if __name__ == "__main__":
    main()
