"""How the tested client gets access: what a person would do in a browser is done at once."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import mcp.client.auth.extensions.client_credentials as sdk
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.utils import build_protected_resource_metadata_discovery_urls
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata
from pydantic import AnyUrl

from services.mcp_gateway.adapters.mcp.access_tokens import AccessTokens
from services.mcp_gateway.adapters.mcp.launch import HttpLaunch
from services.mcp_gateway.adapters.mcp.oauth import SessionStorage, TokensFor, tokens_for
from services.mcp_gateway.domain.server_auth import ClientCredentials

CALLBACK = AnyUrl("http://localhost:3000/callback")
CLIENT_METADATA = "https://conformance-test.local/client-metadata.json"

Context = dict[str, Any]


class Browser:
    """Goes to the authorization page, which sends it back with a code."""

    def __init__(self) -> None:
        self._answer: dict[str, str] = {}

    async def go(self, url: str) -> None:
        async with httpx2.AsyncClient() as client:
            response = await client.get(url, follow_redirects=False)
        query = parse_qs(urlsplit(response.headers["location"]).query)
        self._answer = {name: values[0] for name, values in query.items()}

    async def returned(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult(
            code=self._answer["code"], state=self._answer.get("state"), iss=self._answer.get("iss")
        )


async def issuer_of(url: str) -> str:
    """Ask the server for its authorization server. Of a server in the registry, its description says it."""
    async with httpx2.AsyncClient() as client:
        answer = await client.get(build_protected_resource_metadata_discovery_urls(None, url)[0])
    issuer: str = answer.raise_for_status().json()["authorization_servers"][0]
    return issuer


async def by_person(url: str, context: Context) -> OAuthClientProvider:
    known = None
    if "client_id" in context:
        known = OAuthClientInformationFull(
            client_id=context["client_id"],
            client_secret=context.get("client_secret"),
            redirect_uris=[CALLBACK],
            token_endpoint_auth_method="client_secret_basic" if "client_secret" in context else "none",
        )
    browser = Browser()
    return OAuthClientProvider(
        url,
        OAuthClientMetadata(
            client_name="conformance",
            redirect_uris=[CALLBACK],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
        ),
        SessionStorage(known),
        redirect_handler=browser.go,
        callback_handler=browser.returned,
        client_metadata_url=CLIENT_METADATA,
    )


async def by_signed_assertion(url: str, context: Context) -> OAuthClientProvider:
    signed = sdk.SignedJWTParameters(
        issuer=context["client_id"],
        subject=context["client_id"],
        signing_algorithm=context["signing_algorithm"],
        signing_key=context["private_key_pem"],
    )
    return sdk.PrivateKeyJWTOAuthProvider(
        url,
        SessionStorage(),
        context["client_id"],
        assertion_provider=signed.create_assertion_provider(),
        issuer=await issuer_of(url),
    )


async def access_for(scenario: str, url: str, context: Context) -> tuple[HttpLaunch, TokensFor]:
    """Return the launch of a scenario's server, and what gives its session tokens."""
    if not scenario.startswith("auth/"):
        return HttpLaunch(url), tokens_for
    if scenario == "auth/client-credentials-basic":
        auth = ClientCredentials(await issuer_of(url), context["client_id"], context["client_secret"])
        return HttpLaunch(url, auth=auth), tokens_for
    way = by_signed_assertion if scenario == "auth/client-credentials-jwt" else by_person
    flow = await way(url, context)
    return HttpLaunch(url), lambda _, client: AccessTokens(flow, client)
