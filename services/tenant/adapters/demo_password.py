"""The demo user's random password, where its owner can find it."""

import os
import secrets
from pathlib import Path

from services.tenant.limits import DEMO_PASSWORD_BYTES


def make_demo_password(data_dir: Path) -> str:
    """Return the password in `credentials/demo.password` of the data directory, made at the first call."""
    file = data_dir / "credentials" / "demo.password"
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file.read_text().strip()
    password = secrets.token_urlsafe(DEMO_PASSWORD_BYTES)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(password + "\n")
    return password
