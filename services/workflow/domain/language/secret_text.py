"""`{secret.NAME}` in a rendered value: it stays text until the service that uses it resolves it, at the last moment.

Only the places that the definition itself gave to secrets are resolved. Data that happens to contain the same text,
such as an HTTP answer that was written to steal one, is never looked at.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from services.workflow.domain.language.errors import SecretMisplaced

SECRET_ROOT = "secret"  # noqa: S105 - a word of the language
SECRET_OPENING = "{secret."  # noqa: S105 - a word of the language
SECRET_TEXT = re.compile(r"\{secret\.([A-Za-z_][A-Za-z0-9_-]*)\}")

SecretPath = tuple[str | int, ...]


def guard_secrets(text: str, expected: int) -> str:
    """Return `text` unless data brought more secret placeholders into it than the template wrote (`expected`)."""
    if text.count(SECRET_OPENING) != expected:
        raise SecretMisplaced("Data that is rendered beside a secret contains the text of a secret placeholder.")
    return text


def resolve_secrets(value: Any, paths: Iterable[Sequence[str | int]], lookup: Callable[[str], str]) -> Any:
    """Return `value` with the secrets at `paths` (a template's `secret_paths`) filled in; the original is not changed.

    `lookup` gives a secret's value by name and raises its own error for an unknown one. A secret's value is not
    searched again.
    """
    for path in paths:
        value = _resolved(value, path, lookup)
    return value


def _resolved(value: Any, path: Sequence[str | int], lookup: Callable[[str], str]) -> Any:
    if not path:
        return SECRET_TEXT.sub(lambda found: lookup(found.group(1)), value)
    changed = value.copy()
    changed[path[0]] = _resolved(value[path[0]], path[1:], lookup)
    return changed
