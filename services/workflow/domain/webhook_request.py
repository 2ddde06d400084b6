"""What the templates of a webhook see of a request."""

import re
from collections.abc import Mapping
from typing import Any

from services.workflow.limits import MAX_WEBHOOK_HEADER_CHARS, MAX_WEBHOOK_HEADERS

_SHOWN = frozenset({"content-type", "user-agent", "webhook-id", "webhook-timestamp"})
_SHOWN_BEGINNINGS = ("x-", "ce-")
# What may be a credential, and what proxies say of the way here, stays out of the history.
_HIDDEN = re.compile(r"auth|token|key|secret|signature|cookie|passw|session|credential|forwarded|real-ip")


def shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that may be seen, in the order of their names. The signature covers id and time only."""
    shown = sorted(name for name in headers if _may_be_seen(name, headers[name]))
    return {name: headers[name] for name in shown[:MAX_WEBHOOK_HEADERS]}


def _may_be_seen(name: str, value: str) -> bool:
    if len(value) > MAX_WEBHOOK_HEADER_CHARS:
        return False
    return name in _SHOWN or (name.startswith(_SHOWN_BEGINNINGS) and not _HIDDEN.search(name))


def event_of(message_id: str, at: str, headers: Mapping[str, str], data: Any) -> dict[str, Any]:
    """Return what templates see as `event`. `type` is the body's own, as Standard Webhooks advises, if it has one."""
    kind = data.get("type") if isinstance(data, dict) else None
    return {
        "id": message_id,
        "type": kind if isinstance(kind, str) else None,
        "time": at,
        "headers": shown_headers(headers),
        "data": data,
    }
