"""What a server says without being asked: notifications, and requests to its client."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from services.mcp_gateway.adapters.mcp.codec import (
    decode_params,
    encode_refusal,
    encode_reply,
)
from services.mcp_gateway.adapters.mcp.model import NotificationHandler
from services.mcp_gateway.app.relay import ASKED, Relay
from services.mcp_gateway.domain.rpc import INTERNAL_ERROR, METHOD_NOT_FOUND, Message, RpcError, RpcFailed
from services.mcp_gateway.errors import ProtocolViolation
from services.mcp_gateway.limits import ASKS_PER_SESSION_MAX, NOTIFICATIONS_PER_SECOND_MAX

_PROGRESS = "notifications/progress"
_CANCELLED = "notifications/cancelled"
_LOG = "notifications/message"


class Unasked:
    """Passes on what belongs to a request that runs to that request's client, and the rest to the session's keeper.

    `reply` sends one encoded message to the server. `one_client`: all requests of the session are one client's, so
    that what is tied to no request is for that client. A server may ask only what the client said it may be asked.
    """

    def __init__(
        self, on_notification: NotificationHandler | None, reply: Callable[[bytes], None], *, one_client: bool
    ) -> None:
        self._one_client = one_client
        self._on_notification = on_notification
        self._reply = reply
        self._relays: dict[int, Relay] = {}
        self._asks: dict[int | str, tuple[Relay, asyncio.Task[None]]] = {}
        self._second = 0
        self._count = 0

    def begin(self, request_id: int, relay: Relay) -> None:
        """Pass on what belongs to this request from now on."""
        self._relays[request_id] = relay

    def end(self, request_id: int) -> None:
        """The request is over: nobody waits for what its server still asks."""
        relay = self._relays.pop(request_id, None)
        if relay is not None:
            for asker, task in list(self._asks.values()):
                if asker is relay:
                    task.cancel()

    def close(self) -> None:
        """The session is over."""
        for _, task in list(self._asks.values()):
            task.cancel()

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

    def take(self, message: Message, method: str, request_id: int | None = None) -> None:
        """Take one message. `request_id`: the request on whose own stream it came, where there are such streams.

        Raises `ProtocolViolation` as `count` does.
        """
        self.count()
        params = decode_params(message.params)
        if message.id is not UNSET and message.id is not None:
            self._take_request(message.id, method, params, request_id)
        else:
            self._take_notice(method, params, request_id)

    def _take_notice(self, method: str, params: Any, request_id: int | None) -> None:
        fields: dict[str, Any] = params if isinstance(params, dict) else {}
        if method == _PROGRESS:
            token, progress, total = fields.get("progressToken"), fields.get("progress"), fields.get("total")
            relay = self._relays.get(token) if isinstance(token, int) else None
            if relay is not None and isinstance(progress, int | float):
                said = fields.get("message")
                relay.progress(
                    progress,
                    total if isinstance(total, int | float) else None,
                    said if isinstance(said, str) else None,
                )
        elif method == _CANCELLED:
            _, task = self._asks.get(fields.get("requestId", ""), (None, None))
            if task is not None:
                task.cancel()
        elif method == _LOG:
            # On a wire that several callers share, nobody knows whose call a log line speaks of.
            relay = self._relays.get(request_id) if request_id is not None else self._sole()
            if relay is not None:
                relay.notify(method, fields)
        elif self._on_notification is not None:
            self._on_notification(method, params)

    def _take_request(self, asked_id: int | str, method: str, params: Any, request_id: int | None) -> None:
        if method == "ping":
            self._reply(encode_reply(asked_id, {}))
            return
        relay = self._relays.get(request_id) if request_id is not None else self._sole()
        if relay is None or ASKED.get(method) not in relay.client.capabilities:
            self._reply(encode_refusal(asked_id, RpcError(METHOD_NOT_FOUND, f"Not offered: {method[:100]}")))
        elif len(self._asks) >= ASKS_PER_SESSION_MAX or asked_id in self._asks:
            raise ProtocolViolation("The server asks its client more than can be answered.")
        else:
            task = asyncio.get_running_loop().create_task(self._ask(asked_id, method, params, relay))
            self._asks[asked_id] = (relay, task)
            task.add_done_callback(lambda _: self._asks.pop(asked_id, None))

    def _sole(self) -> Relay | None:
        """The request that what is tied to none is taken to be of; on a wire that several clients share, none.

        In the handshake era all of them are one session's, whose client hears it on the latest. In the modern one each
        stands alone, so there has to be no other, but for those that wait for an answer of their client.
        """
        if not self._one_client or not self._relays:
            return None
        latest = next(reversed(self._relays.values()))
        if latest.client.era == "handshake":
            return latest
        waiting = {id(relay) for relay, _ in self._asks.values()}
        free = [relay for relay in self._relays.values() if id(relay) not in waiting]
        return free[0] if len(free) == 1 else None

    async def _ask(self, asked_id: int | str, method: str, params: Any, relay: Relay) -> None:
        try:
            answer = encode_reply(asked_id, await relay.ask(method, params))
        except RpcFailed as failure:
            answer = encode_refusal(asked_id, failure.error)
        except (TimeoutError, RecursionError, TypeError, ValueError) as error:
            said = str(error)[:200] or "The client did not answer in time."
            answer = encode_refusal(asked_id, RpcError(INTERNAL_ERROR, said))
        self._reply(answer)
