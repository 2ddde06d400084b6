"""One supervisor per data directory, seen to by a lock that the kernel releases when its holder dies."""

import fcntl
import os
from pathlib import Path

from infra.local.errors import AlreadyRunning


class Claim:
    """The lock on `file`; it also says who holds it and at what address, for people and for other commands."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take the lock or raise `AlreadyRunning`."""
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise AlreadyRunning(
                f"The platform already runs on {self._file.parents[1]} ({self._file.read_text().strip()}). "
                "Stop it, or set AGENTIC_DATA_DIR to another folder."
            ) from error
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
