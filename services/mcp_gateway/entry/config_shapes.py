"""The JSON of configs."""

import datetime as dt
from typing import Any
from uuid import UUID

import msgspec

from services.mcp_gateway.domain.config import Config, ConfigDefinition
from services.mcp_gateway.domain.server import ServerConfig
from services.mcp_gateway.entry.shapes import Seconds, ServerReference


class NewConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A config to make. `server_id` is the id or the slug."""

    server_id: ServerReference
    agent_id: UUID | None = None
    profile: str | None = None
    enabled: bool = True
    config_overrides: ServerConfig = msgspec.field(default_factory=ServerConfig)
    env_overrides: dict[str, str] = {}
    allowed_tools: tuple[str, ...] | None = None
    denied_tools: tuple[str, ...] = ()
    timeout_seconds: Seconds | None = None
    max_retries: int | None = None
    rate_limit_per_minute: int | None = None

    def definition(self, server_id: UUID) -> ConfigDefinition:
        """Return what is kept."""
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        return ConfigDefinition(**{**values, "server_id": server_id})


class ConfigPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What shall be otherwise; what is not named stays. Whom a config is for stays for ever."""

    enabled: bool | msgspec.UnsetType = msgspec.UNSET
    config_overrides: ServerConfig | msgspec.UnsetType = msgspec.UNSET
    env_overrides: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    allowed_tools: tuple[str, ...] | msgspec.UnsetType | None = msgspec.UNSET
    denied_tools: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    timeout_seconds: Seconds | msgspec.UnsetType | None = msgspec.UNSET
    max_retries: int | msgspec.UnsetType | None = msgspec.UNSET
    rate_limit_per_minute: int | msgspec.UnsetType | None = msgspec.UNSET

    def changes(self) -> dict[str, Any]:
        """Return the named fields."""
        named = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in named.items() if value is not msgspec.UNSET}


class ConfigView(msgspec.Struct, frozen=True):
    """A config. `warnings` are told when it is made or changed."""

    id: UUID
    server_id: UUID
    agent_id: UUID | None
    profile: str | None
    enabled: bool
    config_overrides: ServerConfig
    env_overrides: dict[str, str]
    allowed_tools: tuple[str, ...] | None
    denied_tools: tuple[str, ...]
    timeout_seconds: float | None
    max_retries: int | None
    rate_limit_per_minute: int | None
    created_at: dt.datetime
    updated_at: dt.datetime
    warnings: list[str] = []


class ConfigList(msgspec.Struct, frozen=True):
    """A page of configs, in the order of their making."""

    configs: list[ConfigView]
    total: int
    offset: int
    limit: int
    next_cursor: str | None = None


def config_view(config: Config, warnings: list[str] | None = None) -> ConfigView:
    """Return a config as it is shown."""
    return ConfigView(
        **{name: getattr(config.definition, name) for name in ConfigDefinition.__struct_fields__},
        id=config.id,
        created_at=config.created_at,
        updated_at=config.updated_at,
        warnings=warnings or [],
    )
