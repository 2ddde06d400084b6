"""An MCP server as a tenant describes it."""

import datetime as dt
import re
from typing import Literal
from uuid import UUID

import msgspec

from services.mcp_gateway.domain.server_auth import ClientCredentials
from shared.ids import derived_id

PLATFORM: Literal["platform"] = "platform"
"""The type of a server that the platform itself is: nothing is started or reached for it."""

ServerType = Literal["stdio", "streamable_http", "sse", "platform"]
Visibility = Literal["private", "shared", "public"]
Status = Literal["active", "disabled"]


class ServerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How calls are made. `headers` go with each request to a server that is reached by HTTP.

    `auth`: how access to a streamable HTTP server is got.
    `approval` `manual`: of the tools that the server lists first, too, none is offered before a person approved it.
    `screening` `block`: nor one whose definition is suspicious, and a suspicious result is not passed on.
    """

    headers: dict[str, str] = {}
    auth: ClientCredentials | None = None
    timeout_seconds: float | None = None
    approval: Literal["automatic", "manual"] = "automatic"
    screening: Literal["flag", "block"] = "flag"


class ServerDefinition(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a tenant says of a server. `category` `bundled` is for those that come with the platform.

    `installed_from` is `<name>@<version>` of the catalogue's entry that it was made of.
    """

    name: str
    slug: str
    server_type: ServerType
    description: str = ""
    command: str | None = None
    args: tuple[str, ...] = ()
    url: str | None = None
    version: str = "1.0.0"
    category: str = "general"
    author: str | None = None
    config: ServerConfig = msgspec.field(default_factory=ServerConfig)
    env_vars: dict[str, str] = {}
    visibility: Visibility = "private"
    installed_from: str | None = None


class Server(msgspec.Struct, frozen=True):
    """A server of the registry. `revision` names the way to start it; `stream_version` is its last event's.

    `identity` is not kept. It sets sessions apart that begin with the same revision and are not the same for all
    callers: by what configs override, and by the values of secrets that were filled in.
    """

    tenant_id: UUID
    id: UUID
    definition: ServerDefinition
    status: Status
    revision: int
    stream_version: int
    created_at: dt.datetime
    updated_at: dt.datetime
    identity: str = ""

    @property
    def bundled(self) -> bool:
        """Whether it comes with the platform, whose own command then starts it."""
        return self.definition.category == BUNDLED


BUNDLED = "bundled"
_STARTED_BY = ("server_type", "command", "args", "url", "env_vars")
_CALLED_BY = ("headers", "auth", "timeout_seconds")


def restarts(old: ServerDefinition, new: ServerDefinition) -> bool:
    """Whether a running session of the old definition is of no use for the new one."""
    if any(getattr(old, name) != getattr(new, name) for name in _STARTED_BY):
        return True
    return any(getattr(old.config, name) != getattr(new.config, name) for name in _CALLED_BY)


def bundled_id(tenant_id: UUID, slug: str) -> UUID:
    """Return the id of a tenant's bundled server."""
    return derived_id("mcp-server", tenant_id, slug)


def slug_of(name: str) -> str:
    """Return a slug made from a display name; it may still be one that the rules refuse."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63].strip("-")
