"""Access tokens against a server and an authorization server that are made of one function."""

import asyncio
import json
from urllib.parse import parse_qs

import httpx2
import pytest

from services.mcp_gateway.adapters.mcp.launch import HttpLaunch
from services.mcp_gateway.adapters.mcp.model import Opening
from services.mcp_gateway.adapters.mcp.streamable_http import HttpSession
from services.mcp_gateway.domain.server_auth import ClientCredentials
from services.mcp_gateway.errors import ServerUnavailable
from services.mcp_gateway.limits import OAUTH_ANSWER_MAX_BYTES
from tests.unit.mcp.http_server import Wire, call, reply

URL = "https://tools.example/mcp"
ISSUER = "https://login.example"
AUTH = ClientCredentials(ISSUER, "us", "hush hush", scope="tools")


class Protected:
    """An MCP server that wants a token, and the authorization server that gives it."""

    def __init__(self, issuer: str = ISSUER) -> None:
        self.issuer = issuer
        self.requests: list[httpx2.Request] = []
        self.granted = 0
        self.good = ""
        self.lifetime = 3600
        self.metadata: httpx2.Response | None = None
        self.token_answer: httpx2.Response | None = None
        self.scope_wanted = ""
        self.meanwhile: asyncio.Barrier | None = None

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        path = request.url.path
        if path.startswith("/.well-known/oauth-protected-resource"):
            return httpx2.Response(200, json={"resource": URL, "authorization_servers": [self.issuer]})
        if path.startswith("/.well-known/"):
            return self.metadata or httpx2.Response(
                200,
                json={
                    "issuer": self.issuer,
                    "authorization_endpoint": f"{self.issuer}/authorize",
                    "token_endpoint": f"{self.issuer}/token",
                    "response_types_supported": ["code"],
                },
            )
        if path == "/token":
            return self._grant()
        return await self._serve(request)

    def _grant(self) -> httpx2.Response:
        if self.token_answer is not None:
            return self.token_answer
        self.granted += 1
        self.good = f"token-{self.granted}"
        return httpx2.Response(
            200, json={"access_token": self.good, "token_type": "Bearer", "expires_in": self.lifetime, "scope": "tools"}
        )

    async def _serve(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        if request.headers.get("authorization") != f"Bearer {self.good}" or not self.good:
            return httpx2.Response(401, headers={"www-authenticate": "Bearer"}, text="no")
        if body["method"] == "server/discover":
            return reply(body, {"supportedVersions": ["2026-07-28"], "capabilities": {}})
        if self.scope_wanted:
            challenge = f'Bearer error="insufficient_scope", scope="{self.scope_wanted}"'
            self.scope_wanted = ""
            return httpx2.Response(403, headers={"www-authenticate": challenge})
        if self.meanwhile is not None:
            await self.meanwhile.wait()
        return reply(body, {"content": [{"type": "text", "text": "ok"}]})

    def tokens_asked(self) -> list[dict[str, list[str]]]:
        return [parse_qs(request.content.decode()) for request in self.requests if request.url.path == "/token"]

    async def session(self, auth: ClientCredentials = AUTH) -> HttpSession:
        return await HttpSession.connect(
            HttpLaunch(URL, auth=auth),
            client_factory=lambda: httpx2.AsyncClient(transport=Wire(self)),
            opening=Opening(),
        )


async def test_a_token_is_got_once_and_goes_with_each_request() -> None:
    server = Protected()
    session = await server.session()
    assert [await call(session) for _ in range(3)] == ["ok"] * 3
    await session.close()
    assert server.granted == 1
    asked = server.tokens_asked()[0]
    assert (asked["grant_type"], asked["resource"], asked["scope"]) == (["client_credentials"], [URL], ["tools"])
    assert "client_secret" not in asked  # it goes in the header, as client_secret_basic says


async def test_the_secret_goes_to_the_named_issuer_and_nowhere_else() -> None:
    server = Protected(issuer="https://evil.example")
    with pytest.raises(ServerUnavailable, match="access token") as caught:
        await server.session()
    assert "hush" not in str(caught.value)
    assert server.tokens_asked() == []
    assert not [request for request in server.requests if b"hush" in request.content]


async def test_a_revoked_token_is_renewed_and_the_request_sent_once_more() -> None:
    server = Protected()
    session = await server.session()
    server.good = "another"
    assert await call(session) == "ok"
    await session.close()
    assert server.granted == 2


async def test_an_expired_token_is_renewed() -> None:
    server = Protected()
    server.lifetime = 1
    session = await server.session()
    server.lifetime = 3600
    context = session._tokens._flow.context  # type: ignore[union-attr]
    context.token_expiry_time = 1.0
    assert await call(session) == "ok"
    await session.close()
    assert server.granted == 2


async def test_a_token_that_allows_too_little_is_widened() -> None:
    server = Protected()
    session = await server.session()
    server.scope_wanted = "tools:write"
    assert await call(session) == "ok"
    await session.close()
    assert set(server.tokens_asked()[-1]["scope"][0].split()) == {"tools", "tools:write"}


async def test_many_calls_whose_token_is_refused_renew_it_once() -> None:
    server = Protected()
    session = await server.session()
    server.good = "another"
    assert await asyncio.gather(*(call(session) for _ in range(10))) == ["ok"] * 10
    await session.close()
    assert server.granted == 2


async def test_calls_run_beside_each_other() -> None:
    server = Protected()
    session = await server.session()
    server.meanwhile = asyncio.Barrier(8)  # each is answered when all have come
    assert await asyncio.gather(*(call(session) for _ in range(8))) == ["ok"] * 8
    await session.close()


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(400, json={"error": "invalid_client"}),
        httpx2.Response(500, text="oops"),
        httpx2.Response(200, text="not json"),
        httpx2.Response(200, json={"token_type": "Bearer"}),
        httpx2.Response(302, headers={"location": "https://elsewhere.example/token"}),
        httpx2.Response(200, content=b" " * (OAUTH_ANSWER_MAX_BYTES + 1)),
        httpx2.Response(200, headers={"content-encoding": "gzip"}, content=b"", default_encoding="utf-8"),
    ],
)
async def test_an_authorization_server_that_gives_no_token(answer: httpx2.Response) -> None:
    server = Protected()
    server.token_answer = answer
    with pytest.raises(ServerUnavailable):
        await server.session()
    assert {request.url.host for request in server.requests} == {"tools.example", "login.example"}


async def test_metadata_without_end_is_not_read_to_the_end() -> None:
    server = Protected()
    server.metadata = httpx2.Response(200, content=b"[" * (4 * OAUTH_ANSWER_MAX_BYTES))
    with pytest.raises(ServerUnavailable, match="larger than"):
        await server.session()


async def test_a_server_that_refuses_each_token() -> None:
    server = Protected()
    session = await server.session()
    server.good = ""
    grants = server.granted
    server.token_answer = httpx2.Response(200, json={"access_token": "stale", "token_type": "Bearer"})
    with pytest.raises(ServerUnavailable, match="credentials"):
        await call(session)
    await session.close()
    assert server.granted == grants
    assert len(server.tokens_asked()) == 2


async def test_a_cancelled_call_leaves_the_turn_to_the_next() -> None:
    server = Protected()
    session = await server.session()
    server.good = "another"
    calling = asyncio.create_task(call(session))
    await asyncio.sleep(0)
    calling.cancel()
    await asyncio.wait([calling])
    assert await call(session) == "ok"
    await session.close()
