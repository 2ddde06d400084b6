"""What the gateway's use cases need from outside."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self
from uuid import UUID

import msgspec

from services.mcp_gateway.app.relay import Client, Relay
from services.mcp_gateway.domain.call import may_be_repeated
from services.mcp_gateway.domain.pins import definition_hash
from services.mcp_gateway.domain.server import Server, ServerDefinition, Status
from shared.eventstore.event import NewEvent, RecordedEvent
from shared.scope import TenantScope


class KnownTool(msgspec.Struct, frozen=True):
    """A tool as its server listed it. `definition_hash` is over what is pinned: name, texts, schemas and hints.

    `needs` is a scope that its caller must have beside that for calling tools. `resumes`: a call that was broken off is
    taken up again by a call under the same id.
    """

    name: str
    definition: dict[str, Any]
    input_schema: dict[str, Any]
    definition_hash: str
    repeatable: bool
    needs: str | None = None
    resumes: bool = False

    @classmethod
    def of(cls, definition: dict[str, Any]) -> Self:
        """Return the tool of a definition as MCP writes it. Raises `RecursionError` for one nested without end."""
        repeatable = may_be_repeated(definition.get("annotations"))
        schema = definition.get("inputSchema", {})
        return cls(definition["name"], definition, schema, definition_hash(definition), repeatable)


class ToolAnswer(msgspec.Struct, frozen=True):
    """What a server gave back. `is_error`: the tool itself says that it failed.

    `raw` is the MCP result as the server wrote it, if it comes from an MCP server. `input_required`: the tool wants
    something of the caller's client first, and `raw` says what.
    """

    content: list[dict[str, Any]]
    structured: dict[str, Any] | None
    is_error: bool
    duration_ms: float
    raw: msgspec.Raw | None = None
    input_required: bool = False


class ServerFacts(msgspec.Struct, frozen=True):
    """What a server says of itself: its MCP `capabilities`, and instructions for whoever uses it."""

    capabilities: dict[str, Any]
    instructions: str | None = None


class Caller(msgspec.Struct, frozen=True):
    """Who makes a call, and the id that names the call for ever."""

    actor: str
    call_id: UUID


class Servers(Protocol):
    """The registry, for those who only look things up."""

    async def find(self, scope: TenantScope, reference: str) -> Server:
        """Return the tenant's server of this id or slug. Raises `NotFound`."""
        ...


class Kept(msgspec.Struct, frozen=True):
    """A server as the registry keeps it now, and the position of the event that made it so."""

    server: Server
    position: int


class ServerRegistry(Servers, Protocol):
    """The registry, for those who change it."""

    async def read(self, scope: TenantScope, reference: str) -> Server:
        """Return the server of this id or slug as it is now. Raises `NotFound`."""
        ...

    async def furnish(self, scope: TenantScope) -> None:
        """See to it that the tenant has the bundled servers."""
        ...

    async def register(self, scope: TenantScope, definition: ServerDefinition, server_id: UUID | None = None) -> Kept:
        """Add a server, or return the tenant's server that has this id already: it was registered before.

        Raises `SlugTaken` or `Conflict`.
        """
        ...

    async def change(self, scope: TenantScope, server: Server, definition: ServerDefinition, status: Status) -> Kept:
        """Describe a server anew. Raises `PreconditionFailed` if it was changed since it was read, and `SlugTaken`."""
        ...

    async def remove(self, scope: TenantScope, server: Server) -> int:
        """Take a server out and return the position of that. Raises `PreconditionFailed`."""
        ...


class LaunchRules(Protocol):
    """What this deployment starts."""

    def check(self, definition: ServerDefinition) -> None:
        """Raise `CommandNotAllowed` or `Unprocessable` for a server that would never be started here."""
        ...


class SessionView(Protocol):
    """A server's session in this process."""

    @property
    def alive(self) -> bool: ...

    @property
    def in_flight(self) -> int: ...

    @property
    def retry_after_s(self) -> float: ...


class Sessions(Protocol):
    """The running sessions."""

    async def forget(self, server: Server) -> None:
        """End the sessions of this definition, whatever configs override of it, once their calls are over."""
        ...

    def state(self, server: Server) -> SessionView | None:
        """Return the state of the server's session, if there is one."""
        ...


class Upstreams(Protocol):
    """The servers themselves, reached when first needed."""

    async def tools(self, server: Server) -> dict[str, KnownTool]:
        """Return the server's tools by name. Raises what starting it raises."""
        ...

    async def call(
        self,
        server: Server,
        tool: str,
        arguments: dict[str, Any],
        seconds: float,
        relay: Relay | None = None,
        caller: Caller | None = None,
    ) -> ToolAnswer:
        """Call a tool once, for `caller`; `relay` is told how it goes.

        Raises the gateway's errors for everything that is no answer of the tool.

        `ServerUnavailable` and `ServerBusy` say that nothing was sent.
        """
        ...

    async def ping(self, server: Server, seconds: float) -> None:
        """Ask for a sign of life, starting the server if it does not run."""
        ...

    async def probe(self, server: Server, seconds: float) -> bool:
        """Ask a session that lives for a sign of life, which counts as no use of it. False: there is none."""
        ...


class ServerRequests(Protocol):
    """What MCP servers have beside tools."""

    async def about(self, server: Server) -> ServerFacts:
        """Return what the server says of itself, starting it if need be. Raises what starting it raises."""
        ...

    async def request(
        self, server: Server, method: str, params: dict[str, Any], seconds: float, relay: Relay | None = None
    ) -> msgspec.Raw:
        """Return the result of a request as the server wrote it. Raises `RpcFailed` for its refusal."""
        ...

    async def follow(self, wanted: Sequence[tuple[Server, frozenset[str]]]) -> None:
        """Have servers tell of changes of their lists, and of the resources with these URIs, until cancelled."""
        ...

    async def leave(self, tenant_id: UUID, client: Client) -> None:
        """End the sessions that were opened for this client alone."""
        ...


class CallUnit(msgspec.Struct, frozen=True):
    """What is written of a call in one piece: one or both of its events, and its row in the history."""

    events: Sequence[NewEvent]
    row: tuple[Any, ...]
    size: int


class Records(Protocol):
    """Where calls are written down."""

    def admit(self) -> None:
        """Raise `Unavailable` if so much waits to be written that another call could not be recorded."""
        ...

    async def write(self, unit: CallUnit) -> int:
        """Return the position when the unit is on disk.

        Raises `ConcurrentAppend` if the call was recorded before, and `Unavailable` if the database does not answer.
        """
        ...

    def write_later(self, unit: CallUnit) -> None:
        """Queue the unit: it is written with the next batch, and again until the database takes it."""
        ...

    async def write_surely(self, unit: CallUnit, seconds: float) -> int | None:
        """Queue the unit as `write_later` does, and return its position once it is on disk.

        None if it is not by then: it is written all the same. Raises `ConcurrentAppend` if it was recorded before.
        """
        ...

    async def events_of(self, call_id: UUID) -> list[RecordedEvent]:
        """Return the events of a call. Raises `Unavailable` if the database stays away for long."""
        ...

    async def settled(self, tenant_id: UUID) -> None:
        """Return when the tenant's calls that wait now are written, or after a while: so a caller sees its own."""
        ...


class CallObserver(Protocol):
    """What is counted of calls."""

    def observe_call(self, outcome: str, seconds: float, attempts: int) -> None:
        """A call ended: how (`ok` or the code), in how many seconds, and how often it was tried."""
        ...

    def observe_result(self, rule: str) -> None:
        """The screening of a result found something, by this rule."""
        ...


ArgumentCheck = Callable[[str, dict[str, Any], dict[str, Any]], None]
"""Checks arguments against a schema that a definition hash names. Raises `ArgumentsInvalid` or `ToolSchemaInvalid`."""
