"""Being told of changes: what is sent to a server for that, in either era."""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Raw

from services.mcp_gateway.limits import START_SECONDS

Exchange = Callable[[str, dict[str, Any], float], Awaitable[Raw]]


def listening_for(uris: frozenset[str]) -> dict[str, Any]:
    """Return the params of `subscriptions/listen` (2026-07-28): all lists, and these resources."""
    wanted: dict[str, Any] = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}
    if uris:
        wanted["resourceSubscriptions"] = sorted(uris)
    return {"notifications": wanted}


async def subscribe_all(exchange: Exchange, uris: frozenset[str]) -> None:
    """Subscribe to resources as servers of before want it. Raises what `exchange` raises."""
    for uri in sorted(uris):
        await exchange("resources/subscribe", {"uri": uri}, START_SECONDS)
