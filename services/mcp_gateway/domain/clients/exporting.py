"""Configuration files of MCP clients that point at the gateway. Keys are never in them: they say where it is to go."""

import re
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from services.mcp_gateway.domain.clients.bridge import BRIDGE

Client = Literal["claude-desktop", "vscode", "cursor"]

ENDPOINT = "/mcp"
BRIDGE_VERSION = "0.15.1"
KEY_VARIABLE = "AGENTIC_TOKEN"
_NAME = "agentic"
_INPUT = "agentic-key"
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Exported(msgspec.Struct, frozen=True):
    """A file for a client: what stands in it, where it belongs, and what is left to do."""

    client: Client
    url: str
    file: str
    config: dict[str, Any]
    notes: list[str]


def is_host(text: str) -> bool:
    """Whether a text can stand for a host and its port in a URL."""
    return _HOST.fullmatch(text) is not None


def is_own_endpoint(url: str, origin: str) -> bool:
    """Whether a URL is the gateway's own at this origin: its tools would be offered through themselves."""
    address = urlsplit(url)
    there = f"{address.scheme}://{address.netloc}".lower()
    return there == origin.lower() and f"{address.path}/".startswith(f"{ENDPOINT}/")


def export(client: Client, origin: str, profile: str | None) -> Exported:
    """Return the file. `origin` is scheme, host and port of the platform as its users reach it."""
    url = f"{origin}{ENDPOINT}" if profile is None else f"{origin}{ENDPOINT}/{profile}"
    name = _NAME if profile is None else f"{_NAME}-{profile}"
    return {"claude-desktop": _claude_desktop, "vscode": _vscode, "cursor": _cursor}[client](name, url)


def _vscode(name: str, url: str) -> Exported:
    asked = {"type": "promptString", "id": _INPUT, "description": "API key of the platform", "password": True}
    server = {"type": "http", "url": url, "headers": {"Authorization": f"Bearer ${{input:{_INPUT}}}"}}
    return Exported(
        client="vscode",
        url=url,
        file=".vscode/mcp.json",
        config={"inputs": [asked], "servers": {name: server}},
        notes=["VS Code asks for the key when it first starts the server, and keeps it."],
    )


def _cursor(name: str, url: str) -> Exported:
    server = {"url": url, "headers": {"Authorization": f"Bearer ${{env:{KEY_VARIABLE}}}"}}
    return Exported(
        client="cursor",
        url=url,
        file=".cursor/mcp.json",
        config={"mcpServers": {name: server}},
        notes=[f"Cursor reads the key from the environment variable {KEY_VARIABLE}."],
    )


def _claude_desktop(name: str, url: str) -> Exported:
    # No space within an argument: on Windows the client does not quote them. mcp-remote fills the variable in.
    args = ["-y", f"{BRIDGE}@{BRIDGE_VERSION}", url, "--header", "Authorization:${AUTHORIZATION}"]
    address = urlsplit(url)
    if address.scheme == "http" and address.hostname not in _LOOPBACK:
        args.append("--allow-http")
    server = {"command": "npx", "args": args, "env": {"AUTHORIZATION": "Bearer YOUR-API-KEY"}}
    return Exported(
        client="claude-desktop",
        url=url,
        file="claude_desktop_config.json",
        config={"mcpServers": {name: server}},
        notes=[
            "Put an API key in the place of YOUR-API-KEY: this file has no way to leave it out.",
            "Claude Desktop starts programs alone from this file, so npx mcp-remote (Node.js) stands between.",
        ],
    )
