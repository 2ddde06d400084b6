"""Errors as RFC 9457 problem details. One table maps codes to statuses; a code that is not in it is a 500 and a bug."""

import logging
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from shared.errors import FieldFault, PlatformError
from shared.telemetry.trace import current_trace_id

_log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"

# code -> HTTP status. A service adds its own codes with `register_statuses`.
STATUSES: dict[str, int] = {
    "invalid_input": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "conflict": 409,
    "concurrent_append": 409,
    "idempotency_in_progress": 409,
    "precondition_failed": 412,
    "too_large": 413,
    "unsupported_media_type": 415,
    "unprocessable": 422,
    "idempotency_key_reused": 422,
    "rate_limited": 429,
    "unavailable": 503,
}
_CODES_OF_FRAMEWORK = {400: "invalid_input", 401: "unauthenticated", 403: "forbidden", 404: "not_found",
                       405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}  # fmt: skip


class Problem(msgspec.Struct, omit_defaults=True):
    """The body of an error answer."""

    title: str
    status: int
    detail: str
    code: str
    type: str = "about:blank"
    errors: list[FieldFault] = []
    details: dict[str, Any] = {}
    trace_id: str | None = None


def register_statuses(statuses: dict[str, int]) -> None:
    """Add a service's codes to the table. Giving a code two statuses is an error."""
    for code, status in statuses.items():
        if STATUSES.setdefault(code, status) != status:
            raise ValueError(f"{code} has the status {STATUSES[code]} already")


def _answer(problem: Problem, headers: dict[str, str]) -> Response[bytes]:
    problem.trace_id = current_trace_id()
    return Response(msgspec.json.encode(problem), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def on_platform_error(_: Request[Any, Any, Any], error: PlatformError) -> Response[bytes]:
    """Answer a typed error."""
    status, body, headers = problem_of(error)
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def problem_of(error: PlatformError) -> tuple[int, bytes, dict[str, str]]:
    """Return status, body and headers of the answer to a typed error, its content type among them."""
    status = STATUSES.get(error.code, 500)
    headers = {"Content-Type": MEDIA_TYPE}
    if status == 500:  # noqa: PLR2004
        _log.error("no HTTP status for the code %s", error.code, exc_info=error)
        return 500, msgspec.json.encode(_unexpected()), headers
    if status == 401:  # noqa: PLR2004
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    title = error.code.replace("_", " ").capitalize()
    problem = Problem(title, status, error.message, error.code, errors=error.faults, details=error.details)
    problem.trace_id = current_trace_id()
    return status, msgspec.json.encode(problem), headers


def on_framework_error(_: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answer what Litestar itself refused: no route, a body that does not decode, a wrong parameter."""
    if error.status_code >= 500:  # noqa: PLR2004
        _log.error("request failed", exc_info=error)
        return _internal()
    code = _CODES_OF_FRAMEWORK.get(error.status_code, "invalid_input")
    faults = _faults_of(error) if isinstance(error, ValidationException) else []
    detail = faults[0].message if faults else str(error.detail)
    title = code.replace("_", " ").capitalize()
    return _answer(Problem(title, error.status_code, detail, code, errors=faults), dict(error.headers or {}))


def on_unexpected_error(_: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer a bug: what it was stands in the log under the trace id, not in the answer."""
    _log.error("request failed", exc_info=error)
    return _internal()


def _internal() -> Response[bytes]:
    return _answer(_unexpected(), {})


def _unexpected() -> Problem:
    detail = "Something failed on our side. The trace id names it in the logs."
    return Problem("Internal error", 500, detail, "internal", trace_id=current_trace_id())


def _faults_of(error: ValidationException) -> list[FieldFault]:
    extra = error.extra if isinstance(error.extra, list) else []
    return [
        FieldFault(path=str(item.get("key", "")), message=str(item.get("message", "")))
        for item in extra
        if isinstance(item, dict)
    ]


EXCEPTION_HANDLERS: dict[Any, Any] = {
    PlatformError: on_platform_error,
    HTTPException: on_framework_error,
    Exception: on_unexpected_error,
}
