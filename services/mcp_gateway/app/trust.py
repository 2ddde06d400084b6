"""Which of a server's tools may be offered and called: those that are described as a person approved them."""

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol
from uuid import UUID
from weakref import WeakValueDictionary

import msgspec

from services.mcp_gateway.app.ports import KnownTool, Upstreams
from services.mcp_gateway.domain.pins import (
    Listed,
    Pin,
    PinEvent,
    Pins,
    Policy,
    decide_approval,
    decide_listing,
    recordable,
)
from services.mcp_gateway.domain.screening import Finding, screen_definition
from services.mcp_gateway.domain.server import Server
from services.mcp_gateway.errors import DefinitionChanged, ToolNotFound
from services.mcp_gateway.limits import OFFERED_CACHE_SECONDS, TRUST_SERVERS_CACHED
from shared.scope import TenantScope

UNPINNED = "unpinned"
"""Why a tool waits that cannot be pinned: its definition is too large, or the server has too many."""

Decide = Callable[[Pins], Sequence[PinEvent]]
"""Says what happens to the pins as they are. Does no I/O: a lock is held meanwhile."""


class Pinned(msgspec.Struct, frozen=True):
    """A server's pins after a change, the events of it, and the position of the last one if there are any."""

    pins: Pins
    events: Sequence[PinEvent]
    position: int | None = None


class PinStore(Protocol):
    """Where pins are kept, with their events."""

    async def read(self, scope: TenantScope, server_id: UUID) -> Pins:
        """Return the server's pins. Raises `NotFound` for a server that is not in the registry."""
        ...

    async def change(
        self, scope: TenantScope, server_id: UUID, decide: Decide, listed: frozenset[str] | None = None
    ) -> Pinned:
        """Write what `decide` makes of the pins, and which tools are `listed` now, if that is known.

        Changes of one server follow one another, whichever replica makes them. Raises `NotFound`, `Unavailable`, and
        what `decide` raises: then nothing is written.
        """
        ...


class VettedTool(msgspec.Struct, frozen=True):
    """A tool as the server lists it now, with what the screening found; in quarantine it has a `reason`."""

    tool: KnownTool
    reason: str | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def quarantined(self) -> bool:
        return self.reason is not None


class _Kept(msgspec.Struct, frozen=True):
    """What a listing came to. `final`: nothing remains to be recorded of it."""

    listing: Mapping[str, KnownTool]
    server_version: int
    tools: dict[str, VettedTool]
    final: bool


class Trust:
    """Holds what servers list against what was approved."""

    def __init__(
        self, upstreams: Upstreams, store: PinStore, observe: Callable[[PinEvent], None] = lambda _: None
    ) -> None:
        self._upstreams = upstreams
        self._store = store
        self._observe = observe
        self._kept: dict[UUID, dict[tuple[UUID, str], _Kept]] = {}
        self._offered: dict[UUID, dict[UUID, tuple[float, list[KnownTool]]]] = {}
        self._current: dict[UUID, object] = {}
        self._turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def tools(self, scope: TenantScope, server: Server) -> dict[str, VettedTool]:
        """Return the server's tools by name, vetted. Raises what starting it raises, and `Unavailable`."""
        listing = await self._upstreams.tools(server)
        kept = self._of(server)
        if kept is not None and kept.listing is listing and kept.server_version == server.stream_version:
            return kept.tools
        turn = self._turns.get(server.id)
        if turn is None:
            turn = self._turns[server.id] = asyncio.Lock()
        async with turn:
            kept = self._of(server)
            if kept is None or kept.listing is not listing or kept.server_version != server.stream_version:
                kept = await self._vet(scope, server, listing, kept)
            return kept.tools

    async def offered(self, scope: TenantScope, server: Server) -> list[KnownTool]:
        """Return the tools that may be offered, as they were approved, without starting a server that ever listed them.

        Seconds old at most, and at once new after a change anywhere.
        """
        now = asyncio.get_running_loop().time()
        entry = self._offered.get(server.tenant_id, {}).get(server.id)
        if entry is not None and entry[0] > now:
            return entry[1]
        current = self._now(server.tenant_id)
        pins = (await self.pins(scope, server)).tools.values()
        offered = [
            KnownTool.of(pin.approved.definition)
            for pin in pins
            if pin.approved is not None and pin.pending is None and pin.listed
        ]
        if self._current.get(server.tenant_id) is current:
            self._make_room()
            self._offered.setdefault(server.tenant_id, {})[server.id] = (now + OFFERED_CACHE_SECONDS, offered)
        return offered

    async def pins(self, scope: TenantScope, server: Server) -> Pins:
        """Return the server's pins as they are on disk; one that never listed its tools is asked for them first."""
        pins = await self._store.read(scope, server.id)
        if pins.listed:
            return pins
        await self.tools(scope, server)
        return await self._store.read(scope, server.id)

    async def approve(self, scope: TenantScope, server: Server, wanted: Mapping[str, str] | None) -> Pinned:
        """Approve definitions by tool and hash, or with None all that wait. Naming the approved hash drops what waits.

        Raises `ToolNotFound`, and `DefinitionChanged` for a hash that is none of the two: then nothing is approved.
        """

        def decide(pins: Pins) -> Sequence[PinEvent]:
            if wanted is None:
                waiting = {pin.name: pin.pending.hash for pin in pins.tools.values() if pin.pending is not None}
                return decide_approval(pins, waiting, scope.actor, _now())
            for name, digest in wanted.items():
                _check_wanted(server, pins.tools.get(name), name, digest)
            return decide_approval(pins, wanted, scope.actor, _now())

        pinned = await self._store.change(scope, server.id, decide)
        self._tell(pinned.events)
        self.forget(server.tenant_id)
        return pinned

    def forget(self, tenant_id: UUID) -> None:
        """Look a tenant's pins up anew: somebody changed one of them, here or elsewhere."""
        self._kept.pop(tenant_id, None)
        self._offered.pop(tenant_id, None)
        self._current.pop(tenant_id, None)

    async def _vet(
        self, scope: TenantScope, server: Server, listing: Mapping[str, KnownTool], before: _Kept | None
    ) -> _Kept:
        if before is not None and _unchanged(before, server, listing):
            # Listed again and the same: no reason to ask a database that may be away.
            tools = {name: msgspec.structs.replace(before.tools[name], tool=tool) for name, tool in listing.items()}
            return self._keep(server, _Kept(listing, server.stream_version, tools, before.final), None)
        current = self._now(server.tenant_id)
        policy = _policy_of(server)
        everything = [Listed.of(tool.definition) for tool in listing.values()]
        pins = await self._store.read(scope, server.id)
        findings = await _screened(everything, pins)
        names = frozenset(listing)

        def screen(tool: Listed) -> tuple[Finding, ...]:
            known = findings.get(tool.hash)
            return screen_definition(tool.definition) if known is None else known

        def decide(pins: Pins) -> Sequence[PinEvent]:
            return decide_listing(pins, recordable(everything, pins)[0], screen, policy, _now()).events

        seen = frozenset(name for name, pin in pins.tools.items() if pin.listed)
        if not pins.listed or decide(pins) or seen != names & pins.tools.keys():
            pinned = await self._store.change(scope, server.id, decide, names)
            pins = pinned.pins
            self._tell(pinned.events)
        kept, left_out = recordable(everything, pins)
        put_off = decide_listing(pins, kept, screen, policy, _now()).put_off
        tools = {}
        for tool in everything:
            pin = None if tool.name in left_out else pins.tools.get(tool.name)
            reason = (UNPINNED if pin is None else pin.reason) if not policy.bundled else None
            tools[tool.name] = VettedTool(listing[tool.name], reason, findings.get(tool.hash) or _known(pin, tool.hash))
        return self._keep(server, _Kept(listing, server.stream_version, tools, not put_off), current)

    def _keep(self, server: Server, kept: _Kept, current: object | None) -> _Kept:
        self._kept.get(server.tenant_id, {}).pop(_way(server), None)
        if kept.final and (current is None or self._current.get(server.tenant_id) is current):
            self._make_room()
            self._kept.setdefault(server.tenant_id, {})[_way(server)] = kept
        return kept

    def _of(self, server: Server) -> _Kept | None:
        tenant = self._kept.get(server.tenant_id)
        return None if tenant is None else tenant.get(_way(server))

    def _now(self, tenant_id: UUID) -> object:
        """Return a mark that lasts until the tenant's pins are forgotten: what was read before is not kept after."""
        return self._current.setdefault(tenant_id, object())

    def _make_room(self) -> None:
        for cache in (self._kept, self._offered):
            if sum(map(len, cache.values())) >= TRUST_SERVERS_CACHED:
                cache.clear()
        if len(self._current) > 2 * TRUST_SERVERS_CACHED:
            self._current.clear()

    def _tell(self, events: Sequence[PinEvent]) -> None:
        for event in events:
            self._observe(event)


def _way(server: Server) -> tuple[UUID, str]:
    """Name what a listing is of: under configs that override something, a server may list otherwise."""
    return server.id, server.identity


async def _screened(listing: Sequence[Listed], pins: Pins) -> dict[str, tuple[Finding, ...]]:
    """Return what is found in definitions that no pin knows, letting others in between: a list can be long."""
    known = {version.hash for pin in pins.tools.values() for version in (pin.approved, pin.pending) if version}
    found: dict[str, tuple[Finding, ...]] = {}
    for tool in listing:
        if tool.hash not in known:
            found[tool.hash] = screen_definition(tool.definition)
            await asyncio.sleep(0)
    return found


def _unchanged(before: _Kept, server: Server, listing: Mapping[str, KnownTool]) -> bool:
    return (
        before.server_version == server.stream_version
        and before.listing.keys() == listing.keys()
        and all(before.listing[name].definition_hash == tool.definition_hash for name, tool in listing.items())
    )


def _known(pin: Pin | None, digest: str) -> tuple[Finding, ...]:
    versions = () if pin is None else (pin.approved, pin.pending)
    return next((version.findings for version in versions if version is not None and version.hash == digest), ())


def _check_wanted(server: Server, pin: Pin | None, name: str, digest: str) -> None:
    if pin is None:
        message = f"The server {server.definition.slug!r} has no tool {name!r} that could be approved."
        raise ToolNotFound(message, details={"tool": name})
    hashes = {version.hash for version in (pin.approved, pin.pending) if version is not None}
    if digest not in hashes:
        pending = None if pin.pending is None else pin.pending.hash
        raise DefinitionChanged(
            f"The definition of {name!r} is another one by now: look at it, and approve its hash.",
            details={"tool": name, "pending_hash": pending},
        )


def _policy_of(server: Server) -> Policy:
    config = server.definition.config
    return Policy(manual=config.approval == "manual", block=config.screening == "block", bundled=server.bundled)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
