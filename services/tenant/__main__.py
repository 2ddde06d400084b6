"""`python -m services.tenant` serves until SIGTERM."""

from services.tenant.bootstrap import NAME, run
from services.tenant.config import TenantSettings
from shared.runtime import run_service
from shared.settings import read_settings


def main() -> None:
    """Read the environment and serve."""
    settings = read_settings(TenantSettings, NAME)
    run_service(NAME, settings, lambda: run(settings))


if __name__ == "__main__":
    main()
