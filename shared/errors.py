"""Errors that reach a user: a stable code, a sentence, and what is wrong where."""

from typing import Any

import msgspec


class FieldFault(msgspec.Struct, frozen=True):
    """One fault of an input. `path` is where (`steps[2].condition`), `position` an offset in characters if known."""

    path: str
    message: str
    code: str = "invalid"
    position: int | None = None


class PlatformError(Exception):
    """Base of every error that a caller is meant to understand.

    Subclasses set `code` (stable, documented, snake_case). `details` must be JSON-ready and free of secrets.
    """

    code = "internal"

    def __init__(
        self,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        faults: list[FieldFault] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = details or {}
        self.faults = faults or []
        self.retry_after = retry_after


class InvalidInput(PlatformError):
    """The request cannot be understood: bad JSON, an unknown field, a wrong type."""

    code = "invalid_input"


class Unprocessable(PlatformError):
    """The request is well-formed and still cannot be done: a rule of the domain refuses it."""

    code = "unprocessable"


class TooLarge(PlatformError):
    """A payload is above a named bound (`limits.py`)."""

    code = "too_large"


class NotFound(PlatformError):
    """There is no such thing, or it belongs to another tenant (callers cannot tell which)."""

    code = "not_found"


class MethodNotAllowed(PlatformError):
    """The path is right and this is not one of its methods."""

    code = "method_not_allowed"


class NotAcceptable(PlatformError):
    """The client takes none of the forms that the answer could have."""

    code = "not_acceptable"


class UnsupportedMediaType(PlatformError):
    """The body is of a type that is not read here."""

    code = "unsupported_media_type"


class Conflict(PlatformError):
    """The thing exists already, or is not in a state that allows this."""

    code = "conflict"


class PreconditionFailed(PlatformError):
    """`If-Match` names a version that is no longer the current one."""

    code = "precondition_failed"


class Unauthenticated(PlatformError):
    """No credential, or one that does not verify."""

    code = "unauthenticated"


class Forbidden(PlatformError):
    """The credential is good and lacks a scope."""

    code = "forbidden"


class RateLimited(PlatformError):
    """A rate or quota is used up; `retry_after` is in seconds."""

    code = "rate_limited"


class Unavailable(PlatformError):
    """Something that is needed does not answer now; trying again later can help."""

    code = "unavailable"
