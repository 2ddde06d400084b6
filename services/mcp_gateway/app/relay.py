"""The MCP client behind a call: what its server may tell it and ask it while the call runs."""

from typing import Any, Literal, Protocol

import msgspec

Era = Literal["handshake", "modern"]
"""`handshake`: revisions up to 2025-11-25, opened by `initialize`. `modern`: from 2026-07-28, stateless."""

ASKED = {"elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots"}
"""What a server asks of a client, and the capability by which a client offers it."""


class Client(msgspec.Struct, frozen=True):
    """An MCP client, as far as the servers that it reaches have to know it.

    `session` names its handshake-era session; it is empty in the modern era, where each request stands alone. `owner`
    is who acts through it.
    """

    era: Era
    capabilities: dict[str, Any] = {}
    session: str = ""
    owner: str = ""

    @property
    def told(self) -> dict[str, Any]:
        """What a server of the modern era is told that this client can. Extensions change results, so none is."""
        return {name: value for name, value in self.capabilities.items() if name != "extensions"}

    @property
    def asked_for(self) -> dict[str, Any]:
        """The capabilities by which a server may ask something of this client."""
        return {name: self.capabilities[name] for name in ASKED.values() if name in self.capabilities}

    @property
    def place(self) -> str:
        """Name the kind of session that this client's calls need; empty is the one that all share.

        A handshake-era server learns at the beginning of a session what it may ask, and what it asks need not say
        whom: so whoever can be asked has a session of its own.
        """
        asked = ",".join(sorted(self.asked_for))
        return f"{self.era}:{asked}:{self.session or self.owner}" if asked else ""


class Relay(Protocol):
    """The way back to the client of one call that runs."""

    @property
    def client(self) -> Client: ...

    @property
    def extra(self) -> dict[str, Any]:
        """Members of the request's params that are the server's to read, such as `_meta` and `inputResponses`."""
        ...

    def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Tell how far the call is. Never waits."""
        ...

    def notify(self, method: str, params: Any) -> None:
        """Pass on a notice that belongs to the call. Never waits."""
        ...

    async def ask(self, method: str, params: Any) -> Any:
        """Ask the client and return its result. Raises `RpcFailed` for its refusal."""
        ...
