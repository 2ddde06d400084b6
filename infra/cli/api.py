"""The platform's HTTP API, as the commands use it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

import httpx2
import msgspec

from infra.cli.errors import ApiRefused, Unreachable, reason
from infra.cli.limits import CONNECT_TIMEOUT, REQUEST_TIMEOUT, STREAM_SILENCE
from shared.errors import FieldFault

T = TypeVar("T")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_FIRST_ERROR = 400


class _Problem(msgspec.Struct):
    detail: str = ""
    code: str = "http_error"
    errors: list[FieldFault] = []
    details: dict[str, Any] = {}


class Api:
    """One client of one tenant. Paths are those below `/api/v1`; answers are decoded into the type that is asked for.

    Raises `ApiRefused` for an error answer and `Unreachable` where there is none.
    """

    def __init__(self, url: str, token: str, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        address = httpx2.URL(self.url)
        self._client = httpx2.AsyncClient(
            base_url=f"{self.url}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx2.Timeout(REQUEST_TIMEOUT, connect=CONNECT_TIMEOUT),
            trust_env=address.host not in _LOOPBACK,  # a proxy for the world cannot reach this machine's loopback
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def get(self, path: str, answer: type[T], **params: str | int | Sequence[str]) -> T:
        return await self._call("GET", path, answer, params=params)

    async def download(self, path: str, **params: str | int) -> bytes:
        """GET what is no JSON for us to look into, as it comes."""
        return (await self._send("GET", path, params=params)).content

    async def post(
        self, path: str, answer: type[T], body: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> T:
        """POST with an `Idempotency-Key`, so that what the network repeats is done once."""
        return await self._call(
            "POST", path, answer, body=body, headers={"Idempotency-Key": str(uuid4()), **(headers or {})}
        )

    async def patch(self, path: str, answer: type[T], body: Any) -> T:
        return await self._call("PATCH", path, answer, body=body)

    async def delete(self, path: str) -> None:
        await self._send("DELETE", path)

    @asynccontextmanager
    async def stream(self, path: str, last_event_id: str | None) -> AsyncIterator[httpx2.EventSource]:
        """Open a stream of server-sent events, behind the one named if any."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        timeout = httpx2.Timeout(CONNECT_TIMEOUT, read=STREAM_SILENCE)
        async with self._client.stream("GET", path, headers=headers, timeout=timeout) as response:
            if response.status_code >= _FIRST_ERROR:
                await response.aread()
                raise _refusal(response)
            yield httpx2.EventSource(response)

    async def _call(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        response = await self._send(method, path, body=body, params=params, headers=headers)
        try:
            return msgspec.json.decode(response.content, type=answer)
        except msgspec.MsgspecError as error:
            message = f"What answers at {self.url} is not this platform, or of another release: {error}."
            raise Unreachable(message) from error

    async def _send(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        content = None if body is None else msgspec.json.encode(body)
        sent = {**(headers or {}), **({"Content-Type": "application/json"} if content is not None else {})}
        try:
            response = await self._client.request(
                method, path, content=content, params=dict(params or {}), headers=sent
            )
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise Unreachable(
                f"Nothing answers at {self.url}: {reason(error).rstrip('.')}. See `agentic doctor`."
            ) from error
        if response.status_code >= _FIRST_ERROR:
            raise _refusal(response)
        return response


def _refusal(response: httpx2.Response) -> ApiRefused:
    try:
        problem = msgspec.json.decode(response.content, type=_Problem)
    except msgspec.DecodeError:
        problem = _Problem(detail=f"{response.request.url} answered {response.status_code} without saying why.")
    return ApiRefused(response.status_code, problem.code, problem.detail, problem.errors, problem.details)
