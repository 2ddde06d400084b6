"""Which services there are, found by what their packages hold."""

from pathlib import Path

_ROOT = Path(__file__).parents[1] / "services"


def installed() -> tuple[str, ...]:
    """Return those that can be run (`python -m services.<name>`)."""
    return tuple(sorted(file.parent.name for file in _ROOT.glob("*/__main__.py")))


def with_migrations() -> tuple[str, ...]:
    """Return those that have a schema, whether or not they can be run."""
    return tuple(sorted(folder.parents[1].name for folder in _ROOT.glob("*/adapters/migrations")))


def migrations(service: str) -> Path:
    return _ROOT / service / "adapters" / "migrations"
