"""What a server says without being asked: notifications, and requests to its client."""

import time

from msgspec import UNSET

from services.mcp_gateway.adapters.mcp.codec import (
    METHOD_NOT_FOUND,
    Incoming,
    decode_params,
    encode_refusal,
    encode_reply,
)
from services.mcp_gateway.adapters.mcp.model import NotificationHandler
from services.mcp_gateway.errors import ProtocolViolation
from services.mcp_gateway.limits import NOTIFICATIONS_PER_SECOND_MAX


class Unasked:
    """Hands notices on, and refuses what a client may offer and we do not (roots, sampling, elicitation)."""

    def __init__(self, on_notification: NotificationHandler | None) -> None:
        self._on_notification = on_notification
        self._second = 0
        self._count = 0

    def count(self) -> None:
        """Count a message that is no answer to an open request.

        Raises `ProtocolViolation` above a rate, since a server that only talks would use up the gateway's time.
        """
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        if self._count > NOTIFICATIONS_PER_SECOND_MAX:
            raise ProtocolViolation(f"The server sent more than {NOTIFICATIONS_PER_SECOND_MAX} messages in a second.")

    def take(self, message: Incoming, method: str) -> bytes | None:
        """Take one message and return the reply to send, if there is one.

        Raises `ProtocolViolation` as `count` does.
        """
        self.count()
        if message.id is not UNSET and message.id is not None:
            if method == "ping":
                return encode_reply(message.id, {})
            return encode_refusal(message.id, METHOD_NOT_FOUND, f"Not offered: {method[:100]}")
        params = decode_params(message.params)
        if self._on_notification is not None:
            self._on_notification(method, params)
        return None
