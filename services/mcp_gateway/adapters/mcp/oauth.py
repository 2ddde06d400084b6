"""The kinds of access that a server can be described with, as clients of the official SDK."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx2

from services.mcp_gateway.adapters.mcp.access_tokens import AccessTokens
from services.mcp_gateway.adapters.mcp.launch import HttpLaunch
from services.mcp_gateway.domain.server_auth import ClientCredentials

if TYPE_CHECKING:
    from mcp.client.auth import OAuthClientProvider
    from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

TokensFor = Callable[[HttpLaunch, httpx2.AsyncClient], AccessTokens | None]
"""Gives a session its tokens, which are got with the session's own client; None where none are wanted."""


def tokens_for(launch: HttpLaunch, client: httpx2.AsyncClient) -> AccessTokens | None:
    """Return the tokens of a session as the server is described."""
    return None if launch.auth is None else AccessTokens(_flow_of(launch.url, launch.auth), client)


class SessionStorage:
    """Keeps what was got for as long as a session lives: the next one asks anew."""

    def __init__(self, client: "OAuthClientInformationFull | None" = None) -> None:
        self._tokens: OAuthToken | None = None
        self._client = client

    async def get_tokens(self) -> "OAuthToken | None":
        return self._tokens

    async def set_tokens(self, tokens: "OAuthToken") -> None:
        self._tokens = tokens

    async def get_client_info(self) -> "OAuthClientInformationFull | None":
        return self._client

    async def set_client_info(self, client_info: "OAuthClientInformationFull") -> None:
        self._client = client_info


def _flow_of(url: str, auth: ClientCredentials) -> "OAuthClientProvider":
    """Return the flow by which a token for the server at `url` is got."""
    # The SDK takes a second to import and 40 MiB: only who has such a server pays for it.
    from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
    from mcp.client.auth.utils import union_scopes

    class AsDescribed(ClientCredentialsOAuthProvider):
        """Asks for the described scope too: the SDK forgets it for what the server asks for, be it nothing."""

        async def _perform_authorization(self) -> httpx2.Request:
            metadata = self.context.client_metadata
            metadata.scope = union_scopes(auth.scope, metadata.scope)
            return await super()._perform_authorization()

    return AsDescribed(
        url,
        SessionStorage(),
        auth.client_id,
        auth.client_secret,
        token_endpoint_auth_method=auth.client_auth,
        issuer=auth.issuer,
    )
