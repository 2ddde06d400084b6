"""Which of the services are there, seen by what their packages hold."""

from pathlib import Path

from shared.settings import SERVICES

_ROOT = Path(__file__).parents[1] / "services"


def installed() -> tuple[str, ...]:
    """Return those that can be run (`python -m services.<name>`)."""
    return tuple(name for name in SERVICES if (_ROOT / name / "__main__.py").is_file())


def with_migrations() -> tuple[str, ...]:
    """Return those that have a schema, whether or not they can be run."""
    return tuple(name for name in SERVICES if migrations(name).is_dir())


def migrations(service: str) -> Path:
    return _ROOT / service / "adapters" / "migrations"
