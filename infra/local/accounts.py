"""Postgres refuses to run as root: whom it runs as then, and what that account can reach."""

import os
import pwd
import stat
from pathlib import Path

import msgspec

from infra.local.errors import StartFailed

_CANDIDATES = ("postgres", "nobody", "daemon")


class Account(msgspec.Struct, frozen=True):
    """An unprivileged user of this machine."""

    name: str
    uid: int
    gid: int


def unprivileged() -> Account | None:
    """Return the account to run Postgres as, or None if this process is not root and needs no other."""
    if os.geteuid() != 0:
        return None
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise StartFailed(f"Running as root needs one of these users for Postgres: {', '.join(_CANDIDATES)}.")


def can_reach(account: Account | None, folder: Path) -> bool:
    """Say whether the account may traverse every folder above `folder`, and itself if it exists (mode bits only)."""
    if account is None:
        return True
    for step in (*reversed(folder.parents), folder):
        try:
            found = step.stat()
        except FileNotFoundError:
            return True
        if found.st_uid == account.uid:
            needed = stat.S_IXUSR
        elif found.st_gid == account.gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not found.st_mode & needed:
            return False
    return True
