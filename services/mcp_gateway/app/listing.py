"""The lists of a server, page by page."""

from typing import Any

import msgspec

from services.mcp_gateway.app.ports import ServerRequests
from services.mcp_gateway.domain.server import Server
from services.mcp_gateway.limits import OFFER_SECONDS, OFFERED_PAGES_MAX


class Lists(msgspec.Struct, frozen=True):
    """A method that lists, where its result has the things, and what names one of them."""

    method: str
    key: str
    identity: str

    @property
    def capability(self) -> str:
        """The capability of servers that have this list."""
        return self.method.partition("/")[0]


PROMPTS = Lists("prompts/list", "prompts", "name")
RESOURCES = Lists("resources/list", "resources", "uri")
TEMPLATES = Lists("resources/templates/list", "resourceTemplates", "uriTemplate")


async def list_all(requests: ServerRequests, server: Server, lists: Lists) -> list[tuple[str, dict[str, Any]]]:
    """Return all that a server lists, by what names it. What has no name is left out.

    Raises what the request raises, and `DecodeError` for a result that is no JSON.
    """
    found: list[tuple[str, dict[str, Any]]] = []
    params: dict[str, Any] = {}
    for _ in range(OFFERED_PAGES_MAX):
        page = msgspec.json.decode(await requests.request(server, lists.method, params, OFFER_SECONDS))
        things = page.get(lists.key) if isinstance(page, dict) else None
        for thing in things if isinstance(things, list) else []:
            name = thing.get(lists.identity) if isinstance(thing, dict) else None
            if isinstance(name, str):
                found.append((name, thing))
        cursor = page.get("nextCursor") if isinstance(page, dict) else None
        if not isinstance(cursor, str):
            break
        params = {"cursor": cursor}
    return found
