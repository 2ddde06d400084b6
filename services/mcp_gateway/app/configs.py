"""Configs, for those who read and change them."""

from typing import Protocol
from uuid import UUID

import msgspec

from services.mcp_gateway.app.ports import LaunchRules
from services.mcp_gateway.domain.config import Config, ConfigDefinition, as_fault_of_config, check_config, overridden
from services.mcp_gateway.domain.server import Server
from services.mcp_gateway.domain.server_rules import check_definition
from services.mcp_gateway.domain.tool_names import ToolNames
from shared.errors import Unprocessable
from shared.paging import Place
from shared.scope import TenantScope


class ConfigFilter(msgspec.Struct, frozen=True):
    """Which configs; None does not narrow."""

    server_id: UUID | None = None
    agent_id: UUID | None = None
    profile: str | None = None


class KeptConfig(msgspec.Struct, frozen=True):
    """A config as it is kept now, and the position of the event that made it so."""

    config: Config
    position: int


class ConfigStore(Protocol):
    """Where configs are kept, one for each server and agent, profile or whole tenant."""

    async def read(self, scope: TenantScope, config_id: UUID) -> Config:
        """Return a config as it is now. Raises `NotFound`."""
        ...

    async def page(
        self, scope: TenantScope, wanted: ConfigFilter, limit: int, offset: int = 0, after: Place | None = None
    ) -> tuple[list[Config], int]:
        """Return a page of configs in the order of their making, and how many there are in all."""
        ...

    async def create(
        self, scope: TenantScope, definition: ConfigDefinition, config_id: UUID | None = None
    ) -> KeptConfig:
        """Add a config, or return the tenant's config that has this id already: it was made before.

        Raises `ConfigExists`, `NotFound` if the server is gone, or `Conflict` when the tenant has as many as it may.
        """
        ...

    async def change(self, scope: TenantScope, config: Config, definition: ConfigDefinition) -> KeptConfig:
        """Say it anew. Raises `PreconditionFailed` if somebody else changed it since it was read."""
        ...

    async def remove(self, scope: TenantScope, config: Config) -> int:
        """Take a config away and return the position of that. Raises `PreconditionFailed`."""
        ...


def check_against(definition: ConfigDefinition, server: Server, rules: LaunchRules) -> None:
    """Raise `Unprocessable` or `CommandNotAllowed` for a config under which its server could not be used."""
    check_config(definition, server)
    used = overridden(server.definition, definition)
    if used is server.definition:
        return
    try:
        check_definition(used)
        rules.check(used)
    except Unprocessable as error:
        faults = [as_fault_of_config(fault) for fault in error.faults]
        raise Unprocessable(f"{faults[0].path}: {faults[0].message}", faults=faults) from error


def warnings_of(definition: ConfigDefinition, known: list[str]) -> list[str]:
    """Return what looks like a mistake: names that the server did not list when it was last looked at.

    A server that was never looked at is known to have no tools, and says nothing.
    """
    if not known:
        return []
    return [
        f"{field}: the server lists no tool {entry!r} now."
        for field in ("allowed_tools", "denied_tools")
        for entry in getattr(definition, field) or ()
        if not any(ToolNames([entry]).match(name) for name in known)
    ]
