"""Does `http` steps: one request to a public address, its answer bounded."""

import asyncio
import time
import zlib
from typing import Any

import httpx2
import msgspec

from services.workflow.limits import HTTP_RESPONSE_MAX_BYTES
from shared.bus.tasks import Task, TaskError, TaskResult
from shared.errors import InvalidInput, PlatformError, Unavailable
from shared.secrets.redaction import NOTHING_SECRET, Redaction
from shared.secrets.references import filler, names_in, resolve_secrets, texts_at
from shared.secrets.source import SecretSource

# A server that says one of these may do better later.
_RETRYABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
IDEMPOTENCY_HEADER = "Idempotency-Key"
_TIME_IS_UP = TaskError("step_timeout", "The step's time was up before it was done.", retryable=True)
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
    """Sends requests with a client that refuses addresses of the platform's own network.

    The secrets that a request names are filled in here and nowhere before: the task, which is recorded, has the names.
    """

    def __init__(self, client: httpx2.AsyncClient, secrets: SecretSource) -> None:
        self._client = client
        self._secrets = secrets

    async def do(self, task: Task) -> TaskResult:
        """Return the task's result; whatever goes wrong on the way is an error value, retryable if it may pass.

        What an error says is cleaned of the secrets that were sent. An answer is passed on as it came.
        """
        began = time.perf_counter()
        try:
            async with asyncio.timeout(_seconds_left(task)):
                payload, redaction = await self._filled(task)
        except PlatformError as error:
            retryable = error.code == Unavailable.code
            return _failed(task, began, TaskError(error.code, error.message, retryable, error.details))
        except TimeoutError:
            return _failed(task, began, _TIME_IS_UP)
        result = await self._done(task, payload, began)
        if result.error is None or not redaction:
            return result
        details = redaction.data(result.error.details) or {}
        cleaned = msgspec.structs.replace(result.error, message=redaction.text(result.error.message), details=details)
        return msgspec.structs.replace(result, error=cleaned)

    async def _filled(self, task: Task) -> tuple[dict[str, Any], Redaction]:
        payload = {name: value for name, value in task.payload.items() if name != "secret_paths"}
        if not task.payload.get("secret_paths"):
            return payload, NOTHING_SECRET
        try:
            paths = msgspec.convert(task.payload["secret_paths"], list[list[str | int]])
        except msgspec.ValidationError as error:
            raise InvalidInput("The places of secrets are none.") from error
        values = await self._secrets.resolve(task.tenant_id, names_in(texts_at(payload, paths)))
        return resolve_secrets(payload, paths, filler(values)), Redaction(values)

    async def _done(  # noqa: PLR0911 - one way out for each way to fail
        self, task: Task, payload: dict[str, Any], began: float
    ) -> TaskResult:
        try:
            request = msgspec.convert(payload, HttpRequest)
            async with asyncio.timeout(_seconds_left(task)):
                status, output = await self._send(task, request)
        except msgspec.ValidationError as error:
            return _failed(task, began, TaskError("http_request_invalid", f"The request is not one: {error}."))
        except PlatformError as error:
            return _failed(task, began, TaskError(error.code, error.message, details=error.details))
        except _TooLarge:
            message = f"The answer is larger than {HTTP_RESPONSE_MAX_BYTES:,} bytes."
            return _failed(task, began, TaskError("result_too_large", message))
        except TimeoutError:
            return _failed(task, began, _TIME_IS_UP)
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


def _seconds_left(task: Task) -> float:
    return max(0.0, task.deadline_ms / 1000 - time.time())


def _since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)


def _failed(task: Task, began: float, error: TaskError) -> TaskResult:
    return TaskResult(task.execution_id, task.step_path, task.attempt, "error", error=error, duration_ms=_since(began))
