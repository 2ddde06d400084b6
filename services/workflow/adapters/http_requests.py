"""Does `http` steps: one request to a public address, its answer bounded."""

import asyncio
import time
import zlib
from typing import Any

import httpx2
import msgspec

from services.workflow.limits import HTTP_RESPONSE_MAX_BYTES
from shared.bus.tasks import Task, TaskError, TaskResult
from shared.errors import PlatformError

# A server that says one of these may do better later.
_RETRYABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
IDEMPOTENCY_HEADER = "Idempotency-Key"
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class HttpRequest(msgspec.Struct, frozen=True):
    """The payload of an `http` task; `ok_statuses` are inclusive ranges."""

    method: str
    url: str
    headers: dict[str, str]
    query: dict[str, Any]
    body: Any
    ok_statuses: list[tuple[int, int]]
    timeout_seconds: float


class _TooLarge(Exception):
    pass


class HttpRequests:
    """Sends requests with a client that refuses addresses of the platform's own network."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def do(self, task: Task) -> TaskResult:  # noqa: PLR0911 - one way out for each way to fail
        """Return the task's result; whatever goes wrong on the way is an error value, retryable if it may pass."""
        began = time.perf_counter()
        try:
            if task.payload.get("secret_paths"):
                message = "The request names secrets, and there is no store here to take them from."
                return _failed(task, began, TaskError("secrets_unavailable", message))
            request = msgspec.convert(task.payload, HttpRequest)
            async with asyncio.timeout(max(0.0, task.deadline_ms / 1000 - time.time())):
                status, output = await self._send(task, request)
        except msgspec.ValidationError as error:
            return _failed(task, began, TaskError("http_request_invalid", f"The request is not one: {error}."))
        except PlatformError as error:
            return _failed(task, began, TaskError(error.code, error.message, details=error.details))
        except _TooLarge:
            message = f"The answer is larger than {HTTP_RESPONSE_MAX_BYTES:,} bytes."
            return _failed(task, began, TaskError("result_too_large", message))
        except TimeoutError:
            message = "The step's time was up before it was done."
            return _failed(task, began, TaskError("step_timeout", message, retryable=True))
        except httpx2.TimeoutException:
            message = f"No answer within {request.timeout_seconds:g} s."
            return _failed(task, began, TaskError("http_timeout", message, retryable=True))
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, ValueError) as error:
            return _failed(task, began, TaskError("http_request_invalid", f"The request cannot be sent: {error}."))
        except httpx2.HTTPError as error:
            message = f"The request failed: {type(error).__name__}: {error}"
            return _failed(task, began, TaskError("http_failed", message, retryable=True))
        if not any(low <= status <= high for low, high in request.ok_statuses):
            refused = TaskError(
                "http_status", f"The server answered {status}.", status in _RETRYABLE_STATUSES, {"response": output}
            )
            return _failed(task, began, refused)
        return TaskResult(task.execution_id, task.step_path, task.attempt, "ok", output, duration_ms=_since(began))

    async def _send(self, task: Task, request: HttpRequest) -> tuple[int, dict[str, Any]]:
        headers = dict(request.headers)
        said = {name.lower() for name in headers}
        if IDEMPOTENCY_HEADER.lower() not in said:
            headers[IDEMPOTENCY_HEADER] = task.task_id
        if "accept-encoding" not in said:
            headers["Accept-Encoding"] = "identity"
        if task.traceparent:
            headers["traceparent"] = task.traceparent
        content: bytes | None = None
        if isinstance(request.body, str):
            content = request.body.encode()
        elif request.body is not None:
            content = msgspec.json.encode(request.body)
            headers.setdefault("Content-Type", "application/json")
        async with self._client.stream(
            request.method,
            request.url,
            headers=headers,
            params=request.query or None,
            content=content,
            timeout=request.timeout_seconds,
        ) as response:
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > HTTP_RESPONSE_MAX_BYTES:
                    raise _TooLarge
            unpacked = _unpacked(bytes(body), response.headers.get("content-encoding", "identity").strip().lower())
            answer = {
                "status": response.status_code,
                "headers": {name.lower(): value for name, value in response.headers.items()},
                "body": _body(unpacked, response.headers.get("content-type", ""), response.encoding),
            }
            return response.status_code, answer


def _unpacked(raw: bytes, encoding: str) -> bytes:
    """Undo gzip and deflate up to the bound: a small answer can unpack to a thousand times its size."""
    if encoding in {"", "identity"} or not raw:
        return raw
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise httpx2.DecodingError(f"the answer is encoded as {encoding!r}, which was not asked for")
    try:
        unpacked = zlib.decompressobj(wbits=_GZIP_OR_ZLIB).decompress(raw, HTTP_RESPONSE_MAX_BYTES + 1)
    except zlib.error as error:
        raise httpx2.DecodingError(f"the answer is no {encoding}: {error}") from error
    if len(unpacked) > HTTP_RESPONSE_MAX_BYTES:
        raise _TooLarge
    return unpacked


def _body(raw: bytes, content_type: str, encoding: str | None) -> Any:
    if "json" in content_type:
        try:
            return msgspec.json.decode(raw)
        except (msgspec.DecodeError, RecursionError):
            pass  # it says JSON and is not: shown as the text that it is
    try:
        return raw.decode(encoding or "utf-8", errors="replace")
    except LookupError:
        return raw.decode("utf-8", errors="replace")


def _since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)


def _failed(task: Task, began: float, error: TaskError) -> TaskResult:
    return TaskResult(task.execution_id, task.step_path, task.attempt, "error", error=error, duration_ms=_since(began))
