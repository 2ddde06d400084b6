"""The one secret of a local platform, and what is derived from it."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from infra.local.errors import BadEnvironment

_KEY_HEX_LENGTH = 64


def secret_key(file: Path) -> bytes:
    """Return the 32 bytes that `file` holds in hex, made at the first call. The file is written whole or not at all."""
    try:
        text = file.read_text().strip()
    except FileNotFoundError:
        write_secret(file, secrets.token_hex(_KEY_HEX_LENGTH // 2))
        text = file.read_text().strip()
    if len(text) != _KEY_HEX_LENGTH:
        raise BadEnvironment(f"{file} must hold 64 hexadecimal characters.")
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise BadEnvironment(f"{file} must hold 64 hexadecimal characters.") from error


def write_secret(file: Path, text: str) -> None:
    """Write `text` readable by nobody else, atomically: a crash leaves no half of it."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text + "\n")
        handle.flush()
        os.fsync(handle.fileno())
    draft.replace(file)


def role_password(key: bytes, role: str) -> str:
    """Return a database role's password: hex HMAC-SHA256 of its name, so that nothing more must be stored."""
    return hmac.new(key, role.encode(), hashlib.sha256).hexdigest()


def master_key(key: bytes, service: str = "tenant") -> bytes:
    """Return a service's master key: 32 bytes that tell nothing of the secret that they are derived from."""
    return bytes.fromhex(role_password(key, f"{service} master key"))
