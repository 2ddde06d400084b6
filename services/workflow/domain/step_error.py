"""Errors as values: why a step or an execution failed."""

from typing import Any

import msgspec


class StepError(msgspec.Struct, frozen=True, omit_defaults=True):
    """`code` is stable and documented; `retryable` is the worker's opinion, the step's retry policy decides."""

    code: str
    message: str
    step: str | None = None
    attempt: int | None = None
    retryable: bool = False
    details: dict[str, Any] = {}
