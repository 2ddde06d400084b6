"""Access tokens for servers that want them (MCP, authorization), got as the official SDK's client gets them.

The SDK holds its lock while the authorized request runs, reads whole bodies and follows redirects. So it makes only the
requests by which a token is got; they are sent from here, bounded, and the authorized requests run beside each other.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx2

from services.mcp_gateway.adapters.mcp.http_client import opened, read
from services.mcp_gateway.errors import ProtocolViolation, ResultTooLarge, ServerUnavailable
from services.mcp_gateway.limits import FAULT_MESSAGE_MAX_CHARS, OAUTH_ANSWER_MAX_BYTES, OAUTH_REQUESTS_MAX

if TYPE_CHECKING:
    from mcp.client.auth import OAuthClientProvider


class AccessTokens:
    """The token of one session. Any number of requests may use it; one at a time renews it."""

    def __init__(self, flow: "OAuthClientProvider", client: httpx2.AsyncClient) -> None:
        self._flow = flow
        self._client = client
        self._turn = asyncio.Lock()

    async def authorized(self, url: str, headers: dict[str, str]) -> dict[str, str]:
        """Return the headers with the token, if there is one. Raises `ServerUnavailable`."""
        if not self._flow.context.is_token_valid():
            async with self._turn:
                if not self._flow.context.is_token_valid():
                    await self._run(url, headers, None)
        return self._with_token(headers)

    async def renewed(self, url: str, used: dict[str, str], refusal: httpx2.Response) -> dict[str, str]:
        """Return the headers with another token than the refused one. Raises `ServerUnavailable`."""
        async with self._turn:
            if self._with_token(used) == used:  # nobody else has renewed it meanwhile
                await self._run(url, used, refusal)
        return self._with_token(used)

    def _with_token(self, headers: dict[str, str]) -> dict[str, str]:
        context = self._flow.context
        if not context.is_token_valid() or context.current_tokens is None:
            return headers
        return {**headers, "authorization": f"Bearer {context.current_tokens.access_token}"}

    async def _run(self, url: str, headers: dict[str, str], refusal: httpx2.Response | None) -> None:
        """Run the SDK's flow up to where it would send the authorized request, which it is told was refused."""
        from mcp.client.auth import OAuthFlowError

        request = httpx2.Request("POST", url, headers=headers)
        flow = self._flow.async_auth_flow(request)
        try:
            outgoing = await anext(flow)
            for _ in range(OAUTH_REQUESTS_MAX):
                if outgoing is not request:
                    outgoing = await flow.asend(await self._send(outgoing))
                elif refusal is not None:
                    answer, refusal = refusal, None
                    outgoing = await flow.asend(answer)
                else:
                    return
            raise ServerUnavailable("Getting an access token takes too many requests.")
        except StopAsyncIteration:
            return
        except (OAuthFlowError, ProtocolViolation, ResultTooLarge, ValueError, httpx2.HTTPError) as error:
            said = str(error)[:FAULT_MESSAGE_MAX_CHARS] or type(error).__name__
            raise ServerUnavailable(f"No access token for this server: {said}") from error
        finally:
            await flow.aclose()

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        headers = {**request.headers, "accept-encoding": "identity"}
        body = await request.aread()
        async with opened(self._client, request.method, str(request.url), body or None, headers) as response:
            content = await read(response, OAUTH_ANSWER_MAX_BYTES)
            return httpx2.Response(
                response.status_code, headers=response.headers, content=content, request=response.request
            )


def _refuses_token(response: httpx2.Response) -> bool:
    """Whether another token may help: none or a bad one was sent (401), or one that allows too little (403)."""
    if response.status_code == 401:  # noqa: PLR2004 - unauthorized
        return True
    challenge = response.headers.get("www-authenticate", "")
    return response.status_code == 403 and "insufficient_scope" in challenge  # noqa: PLR2004 - forbidden


@asynccontextmanager
async def authorized(
    tokens: AccessTokens, client: httpx2.AsyncClient, verb: str, url: str, body: bytes | None, headers: dict[str, str]
) -> AsyncIterator[httpx2.Response]:
    """As `opened`, with a token. A request whose token is refused is sent once more with another: it was not taken."""
    used = await tokens.authorized(url, headers)
    async with opened(client, verb, url, body, used) as response:
        if not _refuses_token(response):
            yield response
            return
        refusal = httpx2.Response(response.status_code, headers=response.headers, request=response.request)
    async with opened(client, verb, url, body, await tokens.renewed(url, used, refusal)) as response:
        yield response
