"""Errors as values: why a step or an execution failed."""

from typing import Any

import msgspec

from shared.errors import PlatformError


class StepError(msgspec.Struct, frozen=True, omit_defaults=True):
    """`code` is stable and documented; `retryable` is the worker's opinion, the step's retry policy decides."""

    code: str
    message: str
    step: str | None = None
    attempt: int | None = None
    retryable: bool = False
    details: dict[str, Any] = {}


def as_step_error(error: PlatformError) -> StepError:
    """Return an error of the platform as the value that histories hold."""
    details = dict(error.details)
    if error.faults:
        details["errors"] = [msgspec.to_builtins(fault) for fault in error.faults]
    return StepError(error.code, error.message, details=details)
