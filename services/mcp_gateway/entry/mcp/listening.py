"""From changes to the notices that clients get of them."""

from typing import Any

from services.mcp_gateway.app.changes import Change
from services.mcp_gateway.domain.rpc import META_SUBSCRIPTION
from services.mcp_gateway.entry.mcp.wire import RequestId, notice_of


def notice_for(change: Change, subscription: RequestId | None = None) -> bytes:
    """Return the notice of a change; in the modern era each says to which subscription it belongs."""
    params: dict[str, Any] = {} if change.uri is None else {"uri": change.uri}
    if subscription is not None:
        params["_meta"] = {META_SUBSCRIPTION: subscription}
    if change.uri is not None:
        return notice_of("notifications/resources/updated", params)
    return notice_of(f"notifications/{change.kind}/list_changed", params)


class Wanted:
    """What one listener wants to hear of."""

    def __init__(self, lists: frozenset[str], uris: set[str]) -> None:
        self.lists = lists
        self.uris = uris

    def has(self, change: Change) -> bool:
        """Whether a change is of this."""
        return change.kind in self.lists if change.uri is None else change.uri in self.uris
