"""argon2id (RFC 9106 §4, second recommended option), off the event loop and a bounded number at a time."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from argon2.profiles import RFC_9106_LOW_MEMORY

from services.tenant.limits import PASSWORD_CHECKS_AT_ONCE, PASSWORD_CHECKS_WAITING
from shared.errors import RateLimited

T = TypeVar("T")


class Argon2Passwords:
    """`Passwords`."""

    def __init__(self, hasher: PasswordHasher, nobody: str) -> None:
        self._hasher = hasher
        self._nobody = nobody
        self._slots = asyncio.Semaphore(PASSWORD_CHECKS_AT_ONCE)
        self._waiting = 0

    @classmethod
    async def open(cls) -> "Argon2Passwords":
        """Make the hash that is checked where there is none."""
        hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        return cls(hasher, await asyncio.to_thread(hasher.hash, "nobody has this password"))

    async def hash(self, password: str) -> str:
        """Return the hash in PHC format."""
        return await self._run(lambda: self._hasher.hash(password))

    async def check(self, stored: str | None, password: str) -> bool:
        """Say whether the password is right. Raises `RateLimited` when too many wait."""
        right = await self._run(lambda: self._verify(stored or self._nobody, password))
        return right and stored is not None

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except VerifyMismatchError:
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= PASSWORD_CHECKS_WAITING:
            raise RateLimited("Too many log-ins at once: try again.", retry_after=1)
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1
