"""What every conversation by HTTP does alike: opening a response without surprises, and reading a refusal."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx2

from services.mcp_gateway.errors import ProtocolViolation, ResultTooLarge, ServerUnavailable

ClientFactory = Callable[[], httpx2.AsyncClient]
"""Makes the HTTP client of one session: the place for a guarded transport. The session closes the client."""

UNREACHED = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
    httpx2.InvalidURL,
)
"""What is raised before anything of a request was sent."""

_REFUSED_CREDENTIALS = frozenset({401, 403})
_TRY_LATER = frozenset({429, 503})
_MAYBE_PASSED_ON = frozenset({503})  # proxies answer so too when the server broke off in the middle of the request
_NO_READ_TIMEOUT = httpx2.Timeout(10.0, read=None)  # the call's own time bounds the reading


class Overloaded(ServerUnavailable):
    """HTTP 429 or 503: the server, or something on the way to it, has no time for the request."""

    @property
    def maybe_passed_on(self) -> bool:
        """Whether the request may have reached the server all the same."""
        return self.details["http_status"] in _MAYBE_PASSED_ON


@asynccontextmanager
async def opened(
    client: httpx2.AsyncClient, verb: str, url: str, body: bytes | None, headers: dict[str, str]
) -> AsyncIterator[httpx2.Response]:
    """Give the response, whose body is not read yet. Raises `ProtocolViolation` for a compressed one."""
    # Redirects are never followed: the address was checked, where it points to was not.
    async with client.stream(
        verb, url, content=body, headers=headers, follow_redirects=False, timeout=_NO_READ_TIMEOUT
    ) as response:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise ProtocolViolation("The server compressed its answer, which we did not offer to take.")
        yield response


def refusal_of(response: httpx2.Response) -> ServerUnavailable | None:
    """Return what a status means whatever the request was, or None if that depends on the request."""
    details = {"http_status": response.status_code}
    if response.status_code in _REFUSED_CREDENTIALS:
        return ServerUnavailable(f"The server refused our credentials (HTTP {response.status_code}).", details=details)
    if response.status_code in _TRY_LATER:
        after = response.headers.get("retry-after", "")
        return Overloaded(
            f"The server has no time for us now (HTTP {response.status_code}).",
            details=details,
            retry_after=float(after) if after.isdigit() and len(after) <= 5 else None,  # noqa: PLR2004 - a day
        )
    if response.has_redirect_location:
        return ServerUnavailable("The server's address redirects elsewhere; set that address.", details=details)
    return None


async def read(response: httpx2.Response, limit: int) -> bytes:
    """Return the whole body. Raises `ResultTooLarge`."""
    parts: list[bytes] = []
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > limit:
            raise ResultTooLarge(f"The server's answer is larger than {limit} bytes.", details={"limit": limit})
        parts.append(chunk)
    return b"".join(parts)


def said(error: Exception) -> str:
    """Return what an error says, or its name if it says nothing."""
    return str(error)[:200] or type(error).__name__
