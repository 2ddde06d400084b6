"""The sessions of the handshake era, by the id that each client repeats."""

import secrets
from collections import OrderedDict
from http import HTTPStatus

from services.mcp_gateway.limits import SERVER_HTTP_SESSIONS_MAX
from services.mcp_gateway.servers.connection import Connection
from services.mcp_gateway.servers.streamable_http.refusals import HttpRefused


class Sessions:
    """As many as there may be; then the one that was not used for longest makes room, and its client begins anew."""

    def __init__(self) -> None:
        self._connections: OrderedDict[str, Connection] = OrderedDict()

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, connection: Connection) -> str:
        """Keep an initialized connection and return its id. Raises `HttpRefused` if all there may be are at work."""
        if len(self._connections) >= SERVER_HTTP_SESSIONS_MAX:
            resting = next((key for key, other in self._connections.items() if not other.busy), None)
            if resting is None:
                raise HttpRefused(
                    HTTPStatus.SERVICE_UNAVAILABLE, "All sessions are at work.", headers={"retry-after": "1"}
                )
            del self._connections[resting]
        session_id = secrets.token_urlsafe()
        self._connections[session_id] = connection
        return session_id

    def get(self, session_id: str) -> Connection:
        """Return the connection of a session. Raises `HttpRefused` (404), upon which clients initialize anew."""
        connection = self._connections.get(session_id)
        if connection is None:
            raise HttpRefused(HTTPStatus.NOT_FOUND, "There is no such session; initialize a new one.")
        self._connections.move_to_end(session_id)
        return connection

    def end(self, session_id: str) -> None:
        """Forget a session and cancel its calls. Raises as `get` does."""
        self.get(session_id).close()
        del self._connections[session_id]
