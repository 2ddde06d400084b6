"""HTTP on one connection, for clients that may be slow on purpose: uvicorn's, with the times that it does not bound."""

import asyncio
import logging

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from services.mcp_gateway.limits import (
    SERVER_HTTP_CONNECTIONS_MAX,
    SERVER_HTTP_HEAD_SECONDS,
    SERVER_HTTP_SEND_SECONDS,
)

_log = logging.getLogger(__name__)


class BoundedProtocol(H11Protocol):
    """Drops a connection whose request line and headers do not come, or that does not take its answer, in time.

    The size of a head is bounded by h11, the body's size and time where it is read.
    """

    _head: asyncio.TimerHandle | None = None
    _sending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > SERVER_HTTP_CONNECTIONS_MAX:
            _log.warning("more than %d connections at once: one was refused", SERVER_HTTP_CONNECTIONS_MAX)
            transport.abort()
            return
        transport.set_write_buffer_limits(0)  # so that anything unsent counts as waiting
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._await_head()
        elif self._head is not None:
            self._head.cancel()
            self._head = None

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._sending is None:
            self._sending = self.loop.call_later(SERVER_HTTP_SEND_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._head, self._sending, self.timeout_keep_alive_task):
            if timer is not None:
                timer.cancel()

    def _await_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(SERVER_HTTP_HEAD_SECONDS, self.transport.abort)
