"""From a server of a client's file to the description of one here, with everything that is in the way."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, get_args
from urllib.parse import urlsplit, urlunsplit

import msgspec

from services.mcp_gateway.domain.clients.bridge import Bridged, bridged
from services.mcp_gateway.domain.clients.config import ClientConfig, Configured, ConfiguredServer
from services.mcp_gateway.domain.clients.credentials import is_credential, is_credential_name
from services.mcp_gateway.domain.clients.placeholders import Reading, SecretNeeded, Secrets
from services.mcp_gateway.domain.server import ServerConfig, ServerDefinition, ServerType, slug_of
from services.mcp_gateway.limits import (
    IMPORT_NOTES_MAX,
    SERVER_ARGS_MAX,
    SERVER_ENV_MAX,
    SERVER_TEXT_MAX_CHARS,
)
from shared.errors import FieldFault

_TYPES = {
    "http": "streamable_http",
    "streamable-http": "streamable_http",
    "streamable_http": "streamable_http",
    "streamablehttp": "streamable_http",
    "sse": "sse",
}
_RUNNERS = frozenset({"npx", "uvx"})
_ASSIGNED = re.compile(r"-{0,2}([A-Za-z][A-Za-z0-9_-]*)(?:=|:\s*)(?P<value>.+)", re.DOTALL)
_OPTION = re.compile(r"--?[A-Za-z][A-Za-z0-9_-]*")


class Draft(msgspec.Struct, frozen=True):
    """What would become of a server of a file. Without `definition` it cannot be read at all."""

    name: str
    slug: str
    definition: ServerDefinition | None
    faults: list[FieldFault]
    notes: list[str]
    secrets: list[SecretNeeded]


def drafts_of(config: ClientConfig, answers: Mapping[str, str]) -> list[Draft]:
    """Return what would become of each server of a file. `answers` are the values of its inputs."""
    secrets = Secrets()
    return [_draft(configured, config, answers, secrets) for configured in config.servers]


def _draft(configured: Configured, config: ClientConfig, answers: Mapping[str, str], secrets: Secrets) -> Draft:
    slug = slug_of(configured.name)
    server = configured.server
    if server is None:
        return Draft(configured.name, slug, None, [FieldFault("", configured.fault or "")], [], [])
    oversize = _oversize(server)
    if oversize is not None:
        return Draft(configured.name, slug, None, [oversize], [], [])
    reading = Reading(slug, config.inputs, answers, secrets)
    environment = reading.environment(
        {name: _as_text(value) for name, value in server.env.items() if value is not None}
    )
    notes = [f"{key} is left out: it has no meaning here." for key in configured.ignored[:IMPORT_NOTES_MAX]]
    for key in configured.unsupported:
        reading.fault(key, "This cannot be done here.", "unsupported")
    if server.switched_off:
        reading.fault("disabled", "It is switched off in the file.", "switched_off")
    bridge = bridged(server)
    if bridge is not None:
        notes.append("mcp-remote is left out: the gateway reaches such servers itself.")
        reached = _elsewhere(bridge, reading)
    elif server.command is not None:
        reached = _program(server, environment, reading, notes)
    else:
        reached = _elsewhere(Bridged(server.address or "", server.headers, server.type), reading)
    definition = ServerDefinition(name=configured.name, slug=slug, **reached)
    needed = reading.needed_in(msgspec.json.encode(definition).decode())
    return Draft(configured.name, slug, definition, reading.faults, notes, needed)


def _oversize(server: ConfiguredServer) -> FieldFault | None:
    """Return why a server is not even read: what is larger could not be registered whatever it said."""
    if len(server.args) > SERVER_ARGS_MAX or len(server.env) + len(server.headers) > SERVER_ENV_MAX:
        return FieldFault("", f"At most {SERVER_ARGS_MAX} arguments and {SERVER_ENV_MAX} values are passed on.")
    texts = (*server.args, *server.env, *server.headers, *server.headers.values(), server.command, server.address)
    values = (value for value in (*texts, *server.env.values()) if isinstance(value, str))
    if any(len(value) > SERVER_TEXT_MAX_CHARS for value in values):
        return FieldFault("", f"No text of it may have more than {SERVER_TEXT_MAX_CHARS} characters.")
    return None


def _program(
    server: ConfiguredServer, environment: dict[str, str], reading: Reading, notes: list[str]
) -> dict[str, Any]:
    if server.address is not None:
        reading.fault("url", "It has a command and a URL: only one can be.", "ambiguous")
    command, args = _plain(server.command or "", server.args, notes)
    return {
        "server_type": "stdio",
        "command": reading.text(command, "command"),
        "args": tuple(_arguments(args, reading)),
        "env_vars": environment,
    }


def _plain(command: str, args: tuple[str, ...], notes: list[str]) -> tuple[str, tuple[str, ...]]:
    """Return a command without what belongs to the machine that the file is from."""
    if PureWindowsPath(command).stem.lower() == "cmd" and len(args) > 1 and args[0].lower() == "/c":
        notes.append("cmd /c is left out.")
        command, args = args[1], args[2:]
    name = PureWindowsPath(PurePosixPath(command).name).name.removesuffix(".cmd").removesuffix(".exe")
    if name in _RUNNERS and name != command:
        notes.append(f"{name} is looked for here, not at its place on the machine of the file.")
        command = name
    return command, args


def _arguments(args: tuple[str, ...], reading: Reading) -> list[str]:
    words: list[str] = []
    for at, word in enumerate(args):
        path = f"args[{at}]"
        before = args[at - 1] if at else ""
        assigned = _ASSIGNED.fullmatch(word)
        if assigned is not None and is_credential_name(assigned[1]):
            words.append(word[: assigned.start("value")] + reading.named(assigned[1], assigned["value"], path))
        elif _OPTION.fullmatch(before) and is_credential_name(before.lstrip("-")) and not word.startswith("-"):
            words.append(reading.named(before.lstrip("-"), word, path))
        else:
            words.append(reading.unnamed(word, f"ARG_{at}", path))
    return words


def _elsewhere(bridge: Bridged, reading: Reading) -> dict[str, Any]:
    url = _without_credentials(bridge.url, reading)
    given = bridge.type.lower() if bridge.type is not None else None
    kind = "sse" if given is None and urlsplit(url).path.rstrip("/").endswith("/sse") else _TYPES.get(given or "http")
    if kind is None or kind not in get_args(ServerType):
        reading.fault("type", f"Servers of the type {given or kind!r} are not reached from here.", "unsupported")
    headers = {name: reading.header(name, value) for name, value in bridge.headers.items()}
    return {"server_type": kind or "streamable_http", "url": url, "config": ServerConfig(headers=headers)}


def _without_credentials(text: str, reading: Reading) -> str:
    """Return a URL whose credentials are secrets: in its query by name, elsewhere they are faults and left out."""
    try:
        url = urlsplit(reading.text(text, "url"))
        host = url.netloc.rpartition("@")[2]
    except ValueError:
        reading.fault("url", "This is no URL.", "invalid")
        return ""
    if host != url.netloc:
        reading.fault("url", "A URL has no credentials before its host.", "credential_in_url")
    path = "/".join(_segment(segment, reading) for segment in url.path.split("/"))
    query = "&".join(_parameter(part, reading) for part in url.query.split("&")) if url.query else ""
    return urlunsplit((url.scheme, host, path, query, ""))


def _segment(segment: str, reading: Reading) -> str:
    if not is_credential(segment):
        return segment
    reading.fault("url", "The path of the URL looks like a credential.", "credential_in_url")
    return "…"


def _parameter(part: str, reading: Reading) -> str:
    name, equals, value = part.partition("=")
    return f"{name}={reading.named(name, value, 'url')}" if equals else part


def _as_text(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
