"""Retries: what a definition says about them, and the effective policy of a step."""

from hashlib import blake2b
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from services.workflow import limits

Backoff = Literal["exponential", "linear", "none"]
Milliseconds = Annotated[int, Meta(ge=0, le=limits.MAX_RETRY_INTERVAL_MS)]
ErrorCodes = Annotated[list[str], Meta(max_length=limits.MAX_RETRY_CODES)]

# Beyond this many doublings every interval is at its maximum; it keeps the arithmetic small.
_MAX_DOUBLINGS = 40


class RetrySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The full form `retry: {…}`. What is not said comes from the definition, then from the platform's defaults.

    `jitter` is the share of an interval that it may be shorter or longer by. `retry_on` and `never_on` are error codes.
    """

    max_attempts: Annotated[int, Meta(ge=1, le=limits.MAX_RETRIES + 1)] | None = None
    initial_interval_ms: Milliseconds | None = None
    backoff: Backoff | None = None
    max_interval_ms: Milliseconds | None = None
    jitter: Annotated[float, Meta(ge=0, le=1)] | None = None
    retry_on: ErrorCodes | None = None
    never_on: ErrorCodes | None = None


class RetryPolicy(msgspec.Struct, frozen=True):
    """The effective policy: attempts count from 1, so `max_attempts=1` is no retry."""

    max_attempts: int = 1
    initial_interval_ms: int = limits.DEFAULT_RETRY_INTERVAL_MS
    backoff: Backoff = "exponential"
    max_interval_ms: int = limits.DEFAULT_RETRY_MAX_INTERVAL_MS
    jitter: float = limits.DEFAULT_RETRY_JITTER
    retry_on: frozenset[str] = frozenset()
    never_on: frozenset[str] = frozenset()

    def allows(self, attempt: int, code: str, *, retryable: bool) -> bool:
        """Return whether another attempt follows `attempt`, which failed with `code`.

        `never_on` wins; then `retry_on` decides if it names any code; else the error's own `retryable`.
        """
        if attempt >= self.max_attempts or code in self.never_on:
            return False
        return code in self.retry_on if self.retry_on else retryable

    def delay_ms(self, attempt: int, seed: str = "") -> int:
        """Return the wait after the failed `attempt`. The same seed (such as a step's id) gives the same jitter."""
        delay = self.initial_interval_ms
        if self.backoff == "exponential":
            delay <<= min(attempt - 1, _MAX_DOUBLINGS)
        elif self.backoff == "linear":
            delay *= attempt
        delay = min(delay, self.max_interval_ms)
        if not self.jitter:
            return delay
        draw = int.from_bytes(blake2b(f"{seed}/{attempt}".encode(), digest_size=4).digest()) / 2**32
        return round(delay * (1 + self.jitter * (2 * draw - 1)))


def policy_of(settings: RetrySettings | None, retries: int | None, defaults: RetryPolicy) -> RetryPolicy:
    """Return `defaults` with what the full form and the short form (`max_retries`) say instead."""
    said: dict[str, Any] = {} if retries is None else {"max_attempts": retries + 1}
    if settings is not None:
        said |= {name: value for name, value in msgspec.structs.asdict(settings).items() if value is not None}
    for name in ("retry_on", "never_on"):
        if name in said:
            said[name] = frozenset(said[name])
    return msgspec.structs.replace(defaults, **said)
