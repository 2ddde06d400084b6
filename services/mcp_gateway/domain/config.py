"""What a tenant says of the use of one server: by everybody, by one agent, or under a named profile."""

import datetime as dt
from uuid import UUID

import msgspec

from services.mcp_gateway.domain.server import Server, ServerConfig, ServerDefinition
from services.mcp_gateway.domain.server_rules import SLUG
from services.mcp_gateway.limits import (
    CONFIG_MAX_BYTES,
    CONFIG_RETRIES_MAX,
    CONFIG_TOOLS_MAX,
    RATE_PER_MINUTE_MAX,
    TOOL_NAME_MAX_CHARS,
)
from shared.errors import FieldFault, Unprocessable


class ConfigDefinition(msgspec.Struct, frozen=True, omit_defaults=True):
    """One config. Without `agent_id` and `profile` it is for the whole tenant.

    `allowed_tools` None is every tool, empty is none. Denying wins. What is None says nothing.
    """

    server_id: UUID
    agent_id: UUID | None = None
    profile: str | None = None
    enabled: bool = True
    config_overrides: ServerConfig = msgspec.field(default_factory=ServerConfig)
    env_overrides: dict[str, str] = {}
    allowed_tools: tuple[str, ...] | None = None
    denied_tools: tuple[str, ...] = ()
    timeout_seconds: float | None = None
    max_retries: int | None = None
    rate_limit_per_minute: int | None = None


class Config(msgspec.Struct, frozen=True):
    """A config that is kept. `revision` names its overrides, which sessions begin with."""

    tenant_id: UUID
    id: UUID
    definition: ConfigDefinition
    revision: int
    stream_version: int
    created_at: dt.datetime
    updated_at: dt.datetime


def overrides(definition: ConfigDefinition) -> bool:
    """Whether sessions have to begin otherwise than the server's own."""
    return bool(definition.env_overrides or definition.config_overrides.headers)


def restarts(old: ConfigDefinition, new: ConfigDefinition) -> bool:
    """Whether sessions that began under the old config are of no use under the new one."""
    return old.env_overrides != new.env_overrides or old.config_overrides.headers != new.config_overrides.headers


def overridden(base: ServerDefinition, definition: ConfigDefinition) -> ServerDefinition:
    """Return the server as it is used under a config: what the config names stands in the place of the server's."""
    said = definition.config_overrides
    if not definition.env_overrides and said == ServerConfig():
        return base
    # Names of headers are the same in every case; the one that is sent has to be the config's.
    named = {name.lower() for name in said.headers}
    kept = {name: value for name, value in base.config.headers.items() if name.lower() not in named}
    seconds = said.timeout_seconds if said.timeout_seconds is not None else base.config.timeout_seconds
    return msgspec.structs.replace(
        base,
        env_vars={**base.env_vars, **definition.env_overrides},
        config=msgspec.structs.replace(base.config, headers={**kept, **said.headers}, timeout_seconds=seconds),
    )


def check_config(definition: ConfigDefinition, server: Server) -> None:
    """Raise `Unprocessable` with all faults of a config of this server, but for those of the values it overrides."""
    faults = [*_scope_faults(definition), *_tool_faults(definition), *_number_faults(definition)]
    if server.bundled and overrides(definition):
        faults.append(FieldFault("env_overrides", "A bundled server is the platform's: nothing of it is overridden."))
    elif server.definition.server_type == "stdio" and definition.config_overrides.headers:
        faults.append(FieldFault("config_overrides.headers", "Only a server that is reached by HTTP has headers."))
    elif server.definition.server_type != "stdio" and definition.env_overrides:
        faults.append(FieldFault("env_overrides", "Only a stdio server has an environment."))
    if len(msgspec.json.encode(definition)) > CONFIG_MAX_BYTES:
        faults.append(FieldFault("", f"A config has at most {CONFIG_MAX_BYTES} bytes as JSON."))
    if faults:
        raise Unprocessable(f"{faults[0].path}: {faults[0].message}", faults=faults)


def as_fault_of_config(fault: FieldFault) -> FieldFault:
    """Name a fault of an overridden server by the field of the config that brought it."""
    for theirs, ours in (("env_vars", "env_overrides"), ("config", "config_overrides")):
        if fault.path == theirs or fault.path.startswith(f"{theirs}."):
            return msgspec.structs.replace(fault, path=ours + fault.path.removeprefix(theirs))
    return fault


def _scope_faults(definition: ConfigDefinition) -> list[FieldFault]:
    faults = []
    if definition.agent_id is not None and definition.profile is not None:
        faults.append(FieldFault("profile", "A config is for an agent or for a profile: make one for each."))
    if definition.profile is not None and SLUG.fullmatch(definition.profile) is None:
        message = "A profile has 1 to 63 of a-z, 0-9, - and _, and begins and ends with no sign."
        faults.append(FieldFault("profile", message))
    return faults


def _tool_faults(definition: ConfigDefinition) -> list[FieldFault]:
    faults = []
    for field in ("allowed_tools", "denied_tools"):
        names: tuple[str, ...] = getattr(definition, field) or ()
        if len(names) > CONFIG_TOOLS_MAX:
            faults.append(FieldFault(field, f"At most {CONFIG_TOOLS_MAX} names are looked at."))
        faults += [
            FieldFault(f"{field}[{number}]", f"A name has 1 to {TOOL_NAME_MAX_CHARS} characters, none of them NUL.")
            for number, name in enumerate(names)
            if not 0 < len(name) <= TOOL_NAME_MAX_CHARS or "\0" in name
        ]
    return faults


def _number_faults(definition: ConfigDefinition) -> list[FieldFault]:
    faults = []
    seconds, retries, rate = definition.timeout_seconds, definition.max_retries, definition.rate_limit_per_minute
    if seconds is not None and not seconds > 0:
        faults.append(FieldFault("timeout_seconds", "A timeout is more than 0 seconds."))
    if retries is not None and not 0 <= retries <= CONFIG_RETRIES_MAX:
        faults.append(FieldFault("max_retries", f"A call is repeated 0 to {CONFIG_RETRIES_MAX} times."))
    if rate is not None and not 1 <= rate <= RATE_PER_MINUTE_MAX:
        message = f"A rate is 1 to {RATE_PER_MINUTE_MAX} calls a minute; `enabled` false lets none through."
        faults.append(FieldFault("rate_limit_per_minute", message))
    return faults
