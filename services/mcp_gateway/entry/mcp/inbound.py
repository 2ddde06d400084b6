"""One request of an MCP client, as the methods of the endpoint see it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from services.mcp_gateway.app.relay import Client, Relay
from shared.scope import TenantScope


class Inbound(msgspec.Struct, frozen=True):
    """Who asks, at which profile, for what, and the way back to its client. `headers`: by lower-case name."""

    scope: TenantScope
    profile: str | None
    client: Client
    method: str
    params: dict[str, Any]
    relay: Relay | None = None
    headers: Mapping[str, str] = {}

    @property
    def modern(self) -> bool:
        """Whether the client speaks the stateless revision."""
        return self.client.era == "modern"
