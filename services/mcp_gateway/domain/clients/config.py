"""Configuration files of MCP clients: where the servers stand in them, and what each client writes of one.

Claude Desktop, Claude Code, Cursor and Windsurf have `mcpServers`; VS Code has `servers` and `inputs`, which in its
settings stand below `mcp`.
"""

from typing import Any, Literal

import msgspec

from services.mcp_gateway.limits import IMPORT_NAME_MAX_CHARS, IMPORT_SERVERS_MAX
from shared.errors import InvalidInput, TooLarge

# What clients write that says nothing of what runs; it is left out with a note. Anything else unknown is, too.
_CHANGES_WHAT_RUNS = ("cwd", "envFile", "auth", "oauth", "sandbox", "headersHelper")


class ConfigInput(msgspec.Struct, frozen=True):
    """Something that VS Code asks its user for, as `${input:id}`."""

    id: str
    type: str = "promptString"
    description: str = ""
    default: str | None = None
    password: bool = False


class ConfiguredServer(msgspec.Struct, frozen=True, rename="camel"):
    """One server as clients write it. The URL has three names among them."""

    type: str | None = None
    command: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str | int | float | bool | None] = {}
    url: str | None = None
    server_url: str | None = None
    http_url: str | None = None
    headers: dict[str, str] = {}
    disabled: bool = False
    enabled: bool = True

    @property
    def address(self) -> str | None:
        return self.url or self.http_url or self.server_url

    @property
    def switched_off(self) -> bool:
        return self.disabled or not self.enabled


class Configured(msgspec.Struct, frozen=True):
    """A server of a file. `server` is None if it cannot be read; `fault` says why. `ignored` is what is left out."""

    name: str
    server: ConfiguredServer | None
    fault: str | None
    ignored: list[str]
    unsupported: list[str]


class ClientConfig(msgspec.Struct, frozen=True):
    """A file: its servers in their order, and what it asks for."""

    client: Literal["mcpServers", "vscode"]
    servers: list[Configured]
    inputs: dict[str, ConfigInput]


_KNOWN = frozenset(field.encode_name for field in msgspec.structs.fields(ConfiguredServer))


def read_config(value: Any) -> ClientConfig:
    """Return what a client's file says. Raises `InvalidInput` if it is none, and `TooLarge`."""
    if not isinstance(value, dict):
        raise InvalidInput("A client's configuration is an object with `mcpServers` or `servers`.")
    if isinstance(value.get("mcp"), dict):
        value = value["mcp"]
    found = [key for key in ("mcpServers", "servers") if isinstance(value.get(key), dict)]
    if len(found) != 1:
        raise InvalidInput("A client's configuration has either `mcpServers` or `servers`, an object by name.")
    servers: dict[str, Any] = value[found[0]]
    if len(servers) > IMPORT_SERVERS_MAX:
        raise TooLarge(f"At most {IMPORT_SERVERS_MAX} servers are imported at once.")
    if any(len(name) > IMPORT_NAME_MAX_CHARS for name in servers):
        raise TooLarge(f"The name of a server has at most {IMPORT_NAME_MAX_CHARS} characters.")
    try:
        inputs = msgspec.convert(value.get("inputs") or [], list[ConfigInput])
    except msgspec.ValidationError as error:
        raise InvalidInput(f"The `inputs` cannot be read: {error}.") from error
    return ClientConfig(
        client="vscode" if found[0] == "servers" else "mcpServers",
        servers=[_configured(name, raw) for name, raw in servers.items()],
        inputs={item.id: item for item in inputs},
    )


def _configured(name: str, raw: Any) -> Configured:
    try:
        server = msgspec.convert(raw, ConfiguredServer)
    except msgspec.ValidationError as error:
        return Configured(name, None, f"This cannot be read: {error}."[:400], [], [])
    unknown = [key[:80] for key in raw if key not in _KNOWN]
    unsupported = [key for key in unknown if key in _CHANGES_WHAT_RUNS]
    return Configured(name, server, None, [key for key in unknown if key not in unsupported], unsupported)
