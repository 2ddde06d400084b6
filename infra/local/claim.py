"""One supervisor per data directory, seen to by a lock that the kernel releases when its holder dies."""

import fcntl
import os
import time
from pathlib import Path

from infra.local.errors import AlreadyRunning
from infra.local.limits import CLAIM_RETRY, CLAIM_TRIES


class Claim:
    """The lock on `file`; it also says who holds it and at what address, for people and for other commands."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take the lock or raise `AlreadyRunning`."""
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _locked(descriptor):
            os.close(descriptor)
            raise AlreadyRunning(
                f"The platform already runs on {self._file.parents[1]} ({self._file.read_text().strip()}). "
                "Stop it, or set AGENTIC_DATA_DIR to another folder."
            )
        self._descriptor = descriptor
        self.say("")

    def say(self, address: str) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"pid {os.getpid()} {address}".strip().encode() + b"\n", 0)

    def release(self) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def holder(file: Path) -> str | None:
    """Return what the holder of the lock on `file` said of itself, or None if nobody holds it."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return file.read_text().strip()
    finally:
        os.close(descriptor)
    return None


def _locked(descriptor: int) -> bool:
    """Take the lock, if need be once more: `holder` has it for an instant while it looks."""
    for _ in range(CLAIM_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(CLAIM_RETRY)
        else:
            return True
    return False
