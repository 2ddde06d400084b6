"""The master keys: from the environment, or from a file."""

import re
from collections.abc import Iterable
from pathlib import Path

from services.tenant.limits import MASTER_KEYS_MAX
from shared.settings import SettingsInvalid

_KEY = re.compile(r"[0-9a-f]{64}")
_VARIABLE = "AGENTIC_TENANT_MASTER_KEY"


def read_master_keys(text: str, file: str) -> list[bytes]:
    """Return the keys, the one in use first, from comma-separated `text` or from `file`, one a line.

    Raises `SettingsInvalid`, without ever repeating what might be a key.
    """
    if bool(text) == bool(file):
        raise SettingsInvalid(f"Set either {_VARIABLE} or {_VARIABLE}_FILE: 64 hexadecimal digits a key.")
    if text:
        return _keys(text.split(","), _VARIABLE)
    try:
        lines = Path(file).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"{_VARIABLE}_FILE: {file} cannot be read: {type(error).__name__}.") from error
    return _keys((line for line in lines if line.strip()), f"The file of {_VARIABLE}_FILE")


def _keys(words: Iterable[str], where: str) -> list[bytes]:
    keys = [word.strip() for word in words]
    if not 1 <= len(keys) <= MASTER_KEYS_MAX or any(_KEY.fullmatch(key) is None for key in keys):
        raise SettingsInvalid(
            f"{where} must hold 1 to {MASTER_KEYS_MAX} keys of 64 hexadecimal digits (0-9, a-f), the one in use first."
        )
    return [bytes.fromhex(key) for key in keys]
