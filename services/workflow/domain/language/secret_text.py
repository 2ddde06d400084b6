"""`{secret.NAME}` in a rendered value: it stays text until the service that uses it fills it in, at the last moment."""

from services.workflow.domain.language.errors import SecretMisplaced
from shared.secrets.references import OPENING

SECRET_ROOT = "secret"  # noqa: S105 - a word of the language

SecretPath = tuple[str | int, ...]


def guard_secrets(text: str, expected: int) -> str:
    """Return `text` unless data brought more secret placeholders into it than the template wrote (`expected`)."""
    if text.count(OPENING) != expected:
        raise SecretMisplaced("Data that is rendered beside a secret contains the text of a secret placeholder.")
    return text
