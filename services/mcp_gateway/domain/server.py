"""An MCP server as a tenant describes it."""

import datetime as dt
import re
from typing import Literal
from uuid import UUID

import msgspec

ServerType = Literal["stdio", "streamable_http"]
Visibility = Literal["private", "shared", "public"]
Status = Literal["active", "disabled"]


class ServerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How calls are made. `headers` go with each request to a streamable HTTP server."""

    headers: dict[str, str] = {}
    timeout_seconds: float | None = None


class ServerDefinition(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a tenant says of a server. `category` `bundled` is for those that come with the platform."""

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


class Server(msgspec.Struct, frozen=True):
    """A server of the registry. `revision` names the way to start it; `stream_version` is its last event's.

    `identity` is not kept: it stands for the values of secrets that were filled into this definition, if they were.
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
_STARTED_BY = ("server_type", "command", "args", "url", "config", "env_vars")


def restarts(old: ServerDefinition, new: ServerDefinition) -> bool:
    """Whether a running session of the old definition is of no use for the new one."""
    return any(getattr(old, name) != getattr(new, name) for name in _STARTED_BY)


def slug_of(name: str) -> str:
    """Return a slug made from a display name; it may still be one that the rules refuse."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63].strip("-")
