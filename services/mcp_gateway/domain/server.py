"""An MCP server as a tenant describes it, and the rules of describing one."""

import datetime as dt
import re
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from services.mcp_gateway.limits import SERVER_ARGS_MAX, SERVER_ENV_MAX, SERVER_TEXT_MAX_CHARS
from shared.errors import FieldFault, Unprocessable
from shared.ids import derived_id

PLATFORM: Literal["platform"] = "platform"
"""The type of a server that the platform itself is: nothing is started or reached for it."""

ServerType = Literal["stdio", "streamable_http", "sse", "platform"]
Visibility = Literal["private", "shared", "public"]
Status = Literal["active", "disabled"]

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
SECRET_OPENING = "{secret."  # noqa: S105 - how a value names a secret


class ServerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How calls are made. `headers` go with each request to a server that is reached by HTTP.

    `approval` `manual`: of the tools that the server lists first, too, none is offered before a person approved it.
    `screening` `block`: nor one whose definition is suspicious, and a suspicious result is not passed on.
    """

    headers: dict[str, str] = {}
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

    `identity` sets sessions apart that begin with the same revision and are not the same for all callers.
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
_TEXTS = ("name", "description", "version", "category", "author", "command", "url")
_STARTED_BY = ("server_type", "command", "args", "url", "env_vars")
_CALLED_BY = ("headers", "timeout_seconds")


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


def check_definition(definition: ServerDefinition) -> None:
    """Raise `Unprocessable` with all faults of a definition."""
    faults = [*_text_faults(definition), *_way_faults(definition), *_value_faults(definition)]
    if faults:
        raise Unprocessable(f"{faults[0].path}: {faults[0].message}", faults=faults)


def _text_faults(definition: ServerDefinition) -> list[FieldFault]:
    faults = []
    if not definition.name.strip():
        faults.append(FieldFault("name", "A server needs a name."))
    if SLUG.fullmatch(definition.slug) is None:
        faults.append(FieldFault("slug", "A slug has 1 to 63 of a-z, 0-9, - and _, and begins and ends with no sign."))
    texts = {field: str(getattr(definition, field) or "") for field in _TEXTS}
    faults += [
        FieldFault(field, f"At most {SERVER_TEXT_MAX_CHARS} characters, and none of them NUL.")
        for field, text in texts.items()
        if len(text) > SERVER_TEXT_MAX_CHARS or "\0" in text
    ]
    return faults


def _way_faults(definition: ServerDefinition) -> list[FieldFault]:
    if definition.server_type == "stdio":
        faults = [] if definition.command else [FieldFault("command", "A stdio server needs a command.")]
        if definition.url is not None:
            faults.append(FieldFault("url", "A stdio server has no URL."))
        return faults
    faults = [
        FieldFault(field, "Only a stdio server has this.")
        for field in ("command", "args", "env_vars")
        if getattr(definition, field)
    ]
    if definition.server_type == PLATFORM:
        return faults if definition.url is None else [*faults, FieldFault("url", "The platform has no URL here.")]
    try:
        url = urlsplit(definition.url or "")
        good = url.scheme in {"http", "https"} and bool(url.hostname) and url.username is None and url.port != 0
    except ValueError:
        good = False
    if not good:
        faults.append(FieldFault("url", "This needs an http or https URL with a host and without credentials."))
    return faults


def _value_faults(definition: ServerDefinition) -> list[FieldFault]:
    faults = []
    if len(definition.args) > SERVER_ARGS_MAX:
        faults.append(FieldFault("args", f"At most {SERVER_ARGS_MAX} arguments are passed on."))
    values: dict[str, Any] = {
        **{f"args[{number}]": value for number, value in enumerate(definition.args)},
        **{f"env_vars.{name}": value for name, value in definition.env_vars.items()},
        **{f"config.headers.{name}": value for name, value in definition.config.headers.items()},
        **({"url": definition.url} if definition.url else {}),
    }
    if len(definition.env_vars) + len(definition.config.headers) > SERVER_ENV_MAX:
        faults.append(FieldFault("env_vars", f"At most {SERVER_ENV_MAX} values are passed on."))
    for path, value in values.items():
        if len(value) > SERVER_TEXT_MAX_CHARS or "\0" in path + value:
            faults.append(FieldFault(path, f"At most {SERVER_TEXT_MAX_CHARS} characters, and none of them NUL."))
        if SECRET_OPENING in value:
            faults.append(FieldFault(path, "There is no store of secrets here to take this from."))
    seconds = definition.config.timeout_seconds
    if seconds is not None and seconds <= 0:
        faults.append(FieldFault("config.timeout_seconds", "A timeout is more than 0 seconds."))
    return faults
