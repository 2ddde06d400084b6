"""The entries of the catalogue that come with the platform: its own servers, and public ones that are listed as data.

`known_servers.json` is a list of `server.json` objects. They were written from what their publishers say; none of them
was run with this platform.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from services.mcp_gateway.app.catalogue import Shelved
from services.mcp_gateway.domain.catalogue.entries import check_entry, entry_of
from services.mcp_gateway.domain.catalogue.server_json import ServerJson
from services.mcp_gateway.domain.server import ServerDefinition

NAMESPACE = "platform.agentic"
_FILE = Path(__file__).parent / "known_servers.json"


def known_servers(bundled: Iterable[ServerDefinition]) -> list[Shelved]:
    """Return the platform's entries. Raises what a wrong file deserves: it is part of the code."""
    shelved = []
    for definition in bundled:
        server = ServerJson(
            name=f"{NAMESPACE}/{definition.slug}",
            title=definition.name,
            description=definition.description,
            version=definition.version,
        )
        shelved.append(Shelved(entry_of(server, "bundled"), server))
    for server in msgspec.json.decode(_FILE.read_bytes(), type=list[ServerJson]):
        check_entry(server)
        shelved.append(Shelved(entry_of(server, "listed"), server))
    return shelved
