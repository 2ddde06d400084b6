"""Pins on Postgres: every change of them is written with its events, one server's changes one after another."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.mcp_gateway.adapters.outages import as_unavailable
from services.mcp_gateway.app.trust import Decide, Pinned
from services.mcp_gateway.domain.events import CATALOGUE
from services.mcp_gateway.domain.pins import PLATFORM, Pin, PinEvent, Pins, Version, evolve
from services.mcp_gateway.domain.screening import Finding
from shared.db.pool import Connection, TenantPool
from shared.db.queries import load_queries
from shared.errors import NotFound
from shared.eventstore.event import EventMeta, NewEvent, decode_meta, encode_meta
from shared.eventstore.postgres import append_in
from shared.ids import derived_id
from shared.scope import TenantScope
from shared.telemetry.trace import current_trace_id, current_traceparent

_sql = load_queries(Path(__file__).parent / "pins.sql")
_encode = msgspec.json.Encoder().encode
_definition = msgspec.json.Decoder(dict[str, Any]).decode
_findings = msgspec.json.Decoder(tuple[Finding, ...]).decode


class PostgresPins:
    """`PinStore` over the pool that answers requests."""

    def __init__(self, pool: TenantPool, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._wake = wake

    async def read(self, scope: TenantScope, server_id: UUID) -> Pins:
        """Return the server's pins. Raises `NotFound` for a server that is not in the registry."""
        with as_unavailable():
            async with self._pool.connection(scope) as connection:
                return (await self._read(connection, server_id))[0]

    async def change(
        self, scope: TenantScope, server_id: UUID, decide: Decide, listed: frozenset[str] | None = None
    ) -> Pinned:
        """Write what `decide` makes of the pins, and which tools are `listed` now, if that is known."""
        with as_unavailable():
            try:
                async with self._pool.transaction(scope) as connection:
                    pinned = await self._change(connection, scope, server_id, decide, listed)
            except asyncpg.ForeignKeyViolationError as error:
                raise _no_server() from error
        if pinned.events:
            self._wake()
        return pinned

    async def _change(
        self,
        connection: Connection,
        scope: TenantScope,
        server_id: UUID,
        decide: Decide,
        listed: frozenset[str] | None,
    ) -> Pinned:
        first = False
        if listed is None:
            await connection.fetchval(_sql.lock, server_id)
        else:
            first = await connection.fetchval(_sql.lock_or_begin, scope.tenant_id, server_id)
        pins, version = await self._read(connection, server_id, first=first)
        events = decide(pins)
        tools = dict(pins.tools)
        for event in events:
            tools[event.tool_name] = evolve(tools.get(event.tool_name), event)
        if listed is not None:
            tools = {name: msgspec.structs.replace(pin, listed=name in listed) for name, pin in tools.items()}
        changed = {event.tool_name: tools[event.tool_name] for event in events}
        if changed:
            columns = zip(*(_row(pin) for pin in changed.values()), strict=True)
            await connection.execute(_sql.save, scope.tenant_id, server_id, *columns)
        if any(tools[name].listed != pin.listed for name, pin in pins.tools.items() if name not in changed):
            await connection.execute(_sql.mark_listed, server_id, [name for name, pin in tools.items() if pin.listed])
        position = None
        if events:
            await connection.execute(_sql.count_events, server_id, version + len(events))
            position = await append_in(connection, _new(scope, server_id, version, events))
        was_listed = pins.listed or listed is not None
        return Pinned(msgspec.structs.replace(pins, tools=tools, listed=was_listed), events, position)

    async def _read(self, connection: Connection, server_id: UUID, *, first: bool = False) -> tuple[Pins, int]:
        """Return the pins and how many events they came from. `first`: the server's row was made just now."""
        server = await connection.fetchrow(_sql.server, server_id)
        if server is None:
            raise _no_server()
        listed = server["listed"] and not first
        rows = await connection.fetch(_sql.tools, server_id) if listed else []
        registrant = decode_meta(server["registered"]).actor if server["registered"] else PLATFORM
        tools = {row["tool_name"]: _pin(row) for row in rows}
        return Pins(server_id, tools, listed=listed, registrant=registrant), server["stream_version"]


def _new(scope: TenantScope, server_id: UUID, version: int, events: Sequence[PinEvent]) -> list[NewEvent]:
    """Return the events as those of the server's pins, a stream of their own: the server itself has not changed."""
    meta = encode_meta(
        EventMeta(actor=scope.actor, correlation_id=current_trace_id(), traceparent=current_traceparent())
    )
    stream = derived_id("mcp-pins", server_id)
    return [
        NewEvent(scope.tenant_id, stream, version + number, event.TYPE, CATALOGUE.encode(event), meta)
        for number, event in enumerate(events, start=1)
    ]


def _row(pin: Pin) -> tuple[Any, ...]:
    approved, pending = _columns(pin.approved, pin.approved_by), _columns(pin.pending, pin.reason)
    return (pin.name, pin.status, pin.listed, *approved, *pending, pin.released_at)


def _columns(version: Version | None, why: str | None) -> tuple[Any, ...]:
    if version is None:
        return (None, None, None, None, None)
    return (version.hash, _encode(version.definition), _encode(version.findings), version.at, why)


def _pin(row: Any) -> Pin:
    return Pin(
        name=row["tool_name"],
        approved=_version(row, "approved"),
        approved_by=row["approved_by"],
        pending=_version(row, "pending"),
        reason=row["pending_reason"],
        released_at=row["released_at"],
        listed=row["listed"],
    )


def _version(row: Any, which: str) -> Version | None:
    if row[f"{which}_hash"] is None:
        return None
    return Version(
        row[f"{which}_hash"],
        _definition(row[f"{which}_definition"]),
        _findings(row[f"{which}_findings"]),
        row[f"{which}_at"],
    )


def _no_server() -> NotFound:
    return NotFound("There is no such MCP server any more.")
