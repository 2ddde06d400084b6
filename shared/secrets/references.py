"""`{secret.NAME}` in a text: it stays as it is written until the service that uses it fills it in.

Only the places that a definition itself gave to secrets are filled in. Data that happens to contain the same text,
such as an HTTP answer that was written to steal one, is never looked at.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from shared.errors import InvalidInput, TooLarge
from shared.limits import SECRETS_FILLED_MAX_CHARS
from shared.secrets.errors import SecretNotFound

OPENING = "{secret."
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
# Wider than a name can be, so that what looks like a reference is never sent as it stands.
REFERENCE = re.compile(r"\{secret\.([A-Za-z_][A-Za-z0-9_-]*)\}")

Path = Sequence[str | int]


def names_in(texts: Iterable[str]) -> list[str]:
    """Return the names that texts refer to, sorted, each once. Raises `SecretNotFound` for what can be no name."""
    names = sorted({name for text in texts for name in REFERENCE.findall(text)})
    for name in names:
        if NAME.fullmatch(name) is None:
            raise SecretNotFound(name)
    return names


def texts_at(value: Any, paths: Iterable[Path]) -> Iterator[str]:
    """Yield the texts at `paths` (a template's `secret_paths`). Raises `InvalidInput` for a path to something else."""
    for path in paths:
        found = value
        for step in path:
            if not _has(found, step):
                raise InvalidInput("A path to a secret leads nowhere.")
            found = found[step]
        if not isinstance(found, str):
            raise InvalidInput("A path to a secret does not lead to a text.")
        yield found


def resolve_secrets(value: Any, paths: Iterable[Path], lookup: Callable[[str], str]) -> Any:
    """Return `value` with the secrets at `paths` (a template's `secret_paths`) filled in; the original is not changed.

    `lookup` gives a secret's value by name and raises its own error for an unknown one. A secret's value is not
    searched again.
    """
    for path in paths:
        value = _resolved(value, path, lookup)
    return value


def filler(values: Mapping[str, str]) -> Callable[[str], str]:
    """Return the look-up among `values` for all texts of one thing. Many references together give no giant.

    It raises `SecretNotFound`, and `TooLarge` once it has given more than `SECRETS_FILLED_MAX_CHARS`.
    """
    room = SECRETS_FILLED_MAX_CHARS

    def lookup(name: str) -> str:
        nonlocal room
        if name not in values:
            raise SecretNotFound(name)
        room -= len(values[name])
        if room < 0:
            raise TooLarge(f"Secrets would fill in more than {SECRETS_FILLED_MAX_CHARS} characters.")
        return values[name]

    return lookup


def _has(value: Any, step: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(step, int) and 0 <= step < len(value)
    return isinstance(value, dict) and step in value


def _resolved(value: Any, path: Path, lookup: Callable[[str], str]) -> Any:
    if not path:
        return REFERENCE.sub(lambda found: lookup(found.group(1)), value)
    changed = value.copy()
    changed[path[0]] = _resolved(value[path[0]], path[1:], lookup)
    return changed
