"""The rules of describing an MCP server."""

import re
from typing import Any
from urllib.parse import urlsplit

from services.mcp_gateway.domain.server import PLATFORM, ServerDefinition
from services.mcp_gateway.domain.server_auth import auth_faults
from services.mcp_gateway.domain.server_secrets import secret_faults
from services.mcp_gateway.limits import SERVER_ARGS_MAX, SERVER_ENV_MAX, SERVER_TEXT_MAX_CHARS
from shared.errors import FieldFault, Unprocessable

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")

_TEXTS = ("name", "description", "version", "category", "author", "command", "url")


def check_definition(definition: ServerDefinition) -> None:
    """Raise `Unprocessable` with all faults of a definition."""
    faults = [
        *_text_faults(definition),
        *_way_faults(definition),
        *_value_faults(definition),
        *secret_faults(definition),
        *auth_faults(definition.config.auth, definition.server_type, definition.config.headers),
    ]
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
    }
    if len(definition.env_vars) + len(definition.config.headers) > SERVER_ENV_MAX:
        faults.append(FieldFault("env_vars", f"At most {SERVER_ENV_MAX} values are passed on."))
    for path, value in values.items():
        if len(value) > SERVER_TEXT_MAX_CHARS or "\0" in path + value:
            faults.append(FieldFault(path, f"At most {SERVER_TEXT_MAX_CHARS} characters, and none of them NUL."))
    seconds = definition.config.timeout_seconds
    if seconds is not None and seconds <= 0:
        faults.append(FieldFault("config.timeout_seconds", "A timeout is more than 0 seconds."))
    return faults
