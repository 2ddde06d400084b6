"""`npx mcp-remote URL`, by which clients that start programs alone reach a server elsewhere.

The gateway reaches such servers itself, so the bridge is read and not started.
"""

import re
from collections.abc import Mapping

import msgspec

from services.mcp_gateway.domain.clients.config import ConfiguredServer

BRIDGE = "mcp-remote"
_BRIDGE = re.compile(rf"{BRIDGE}(@[0-9A-Za-z.^~-]+)?")
_RUNS = re.compile(r"(.*[/\\])?npx(\.cmd|\.exe)?")
_YES = frozenset({"-y", "--yes"})
_TYPES = {"sse-only": "sse", "sse-first": "sse"}


class Bridged(msgspec.Struct, frozen=True):
    """A server elsewhere. `type` is what the file says of its transport, if anything."""

    url: str
    headers: Mapping[str, str]
    type: str | None = None


def bridged(server: ConfiguredServer) -> Bridged | None:
    """Return the server behind a bridge, None if there is no bridge."""
    words = [word for word in server.args if word not in _YES]
    if _RUNS.fullmatch(server.command or "") is None or not words or _BRIDGE.fullmatch(words[0]) is None:
        return None
    headers: dict[str, str] = {}
    transport = None
    for at, word in enumerate(words[:-1]):
        following = words[at + 1]
        if word == "--header" and ":" in following:
            name, _, value = following.partition(":")
            headers[name.strip()] = value.strip()
        elif word == "--transport":
            transport = _TYPES.get(following)
    url = next((word for word in words[1:] if word.startswith(("http://", "https://"))), "")
    return Bridged(url, headers, transport)
