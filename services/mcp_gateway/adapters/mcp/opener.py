"""Opens the kind of session that a launch spec asks for."""

import httpx2

from services.mcp_gateway.adapters.mcp.http_client import ClientFactory
from services.mcp_gateway.adapters.mcp.launch import CommandAllowList, HttpLaunch, LaunchSpec, SseLaunch
from services.mcp_gateway.adapters.mcp.legacy_sse import LegacySseSession
from services.mcp_gateway.adapters.mcp.model import Opening, Session
from services.mcp_gateway.adapters.mcp.oauth import TokensFor, tokens_for
from services.mcp_gateway.adapters.mcp.stdio import StdioSession
from services.mcp_gateway.adapters.mcp.streamable_http import HttpSession


class TransportOpener:
    """A `SessionOpener` over every transport. `client_factory` is where outgoing requests are guarded."""

    def __init__(
        self,
        allowed: CommandAllowList,
        client_factory: ClientFactory = httpx2.AsyncClient,
        tokens: TokensFor = tokens_for,
    ) -> None:
        self._allowed = allowed
        self._client_factory = client_factory
        self._tokens = tokens

    async def __call__(self, launch: LaunchSpec, opening: Opening) -> Session:
        if isinstance(launch, SseLaunch):
            return await LegacySseSession.connect(launch, client_factory=self._client_factory, opening=opening)
        if isinstance(launch, HttpLaunch):
            return await HttpSession.connect(
                launch, client_factory=self._client_factory, opening=opening, tokens=self._tokens
            )
        return await StdioSession.start(launch, allowed=self._allowed, opening=opening)
