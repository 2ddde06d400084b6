"""Answers of JSON. Litestar's own come to the same bytes by a way that costs more than many a handler."""

from typing import Any, TypeVar

import msgspec
from litestar import Request, Response
from litestar.types import Receive, Scope, Send

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode
_BODILESS = frozenset({204, 304})


class JsonResponse(Response[T]):
    """A `Response` whose content is what msgspec encodes, or bytes of JSON."""

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **options: Any) -> Any:
        """Return what sends it. What is more than a status, headers and JSON is left to Litestar."""
        status = self.status_code or options.get("status_code") or 200
        if (
            (self.media_type or options.get("media_type")) != "application/json"
            or status in _BODILESS
            or self.cookies
            or options.get("cookies")
            or self.background
            or options.get("background")
            or options.get("is_head_response")
        ):
            return super().to_asgi_response(app, request, **options)
        content = self.content
        body = content if isinstance(content, bytes) else _encode(content)
        headers = {**(options.get("headers") or {}), **self.headers}
        return _Sending(status, headers, body)


class _Sending:
    """An ASGI application that answers this."""

    __slots__ = ("_body", "_headers", "_status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self._status = status
        self._headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        self._headers.append((b"content-type", b"application/json"))
        self._headers.append((b"content-length", b"%d" % len(body)))
        self._body = body

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})
