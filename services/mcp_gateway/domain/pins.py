"""What a person approved of a server's tools, and what follows when the server describes them otherwise.

Only what a model or a caller goes by is pinned; it is compared by its hash. Nothing here knows the clock.
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal
from uuid import UUID

import msgspec

from services.mcp_gateway.domain.bounds import too_deep
from services.mcp_gateway.domain.diff import Change, differences
from services.mcp_gateway.domain.events import ToolApproved, ToolQuarantined, ToolReleased
from services.mcp_gateway.domain.screening import Finding
from services.mcp_gateway.limits import (
    PENDING_REWRITE_SECONDS,
    PINNED_DEFINITION_MAX_BYTES,
    PINNED_LISTING_MAX_BYTES,
    PINS_PER_SERVER_MAX,
    RELEASE_CALM_SECONDS,
)

PINNED_FIELDS = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
PLATFORM = "platform"

PinStatus = Literal["approved", "quarantined"]
PinEvent = ToolApproved | ToolQuarantined | ToolReleased

_canonical = msgspec.json.Encoder(order="deterministic").encode


def pinned_part(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is pinned of a definition: a field that is absent is the same as one that is null or empty."""
    return {name: definition[name] for name in PINNED_FIELDS if definition.get(name) not in (None, "")}


def definition_hash(definition: Mapping[str, Any]) -> str:
    """Return the hash that names a definition: SHA-256, in hex, of its pinned part as JSON with sorted members."""
    return hashlib.sha256(_canonical(pinned_part(definition))).hexdigest()


class Version(msgspec.Struct, frozen=True):
    """One description of a tool, with what the screening found in it."""

    hash: str
    definition: dict[str, Any]
    findings: tuple[Finding, ...]
    at: dt.datetime


class Pin(msgspec.Struct, frozen=True):
    """A tool of a server. Without `pending` it is as `approved`; `listed` says whether the server still has it."""

    name: str
    approved: Version | None = None
    approved_by: str | None = None
    pending: Version | None = None
    reason: str | None = None
    released_at: dt.datetime | None = None
    listed: bool = True

    @property
    def status(self) -> PinStatus:
        return "approved" if self.pending is None else "quarantined"

    @property
    def diff(self) -> list[Change]:
        """What is otherwise in the pending definition."""
        if self.pending is None or self.approved is None:
            return []
        return differences(self.approved.definition, self.pending.definition)


class Pins(msgspec.Struct, frozen=True):
    """All pins of a server, by tool. `listed`: it listed its tools at least once. `registrant`: who registered it."""

    server_id: UUID
    tools: dict[str, Pin] = {}
    listed: bool = False
    registrant: str = PLATFORM


class Policy(msgspec.Struct, frozen=True):
    """What the owner of a server wants. `manual`: nothing is approved by itself. `block`: nor what is flagged."""

    manual: bool = False
    block: bool = False
    bundled: bool = False


class Listed(msgspec.Struct, frozen=True):
    """A tool as the server lists it now. `size` and `deep` are its pinned part's as JSON, in bytes and levels."""

    name: str
    hash: str
    definition: dict[str, Any]
    size: int
    deep: bool

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> "Listed":
        part = pinned_part(definition)
        encoded = _canonical(part)
        digest = hashlib.sha256(encoded).hexdigest()
        return cls(definition["name"], digest, part, len(encoded), too_deep(part, encoded))


def recordable(listing: Iterable[Listed], pins: Pins) -> tuple[list[Listed], frozenset[str]]:
    """Return the tools that can be pinned, and the names of the others: of too much, too many, or without a name.

    The others are in quarantine for as long as they are listed so.
    """
    kept: list[Listed] = []
    left_out: set[str] = set()
    room = PINNED_LISTING_MAX_BYTES
    places = PINS_PER_SERVER_MAX - len(pins.tools)
    for tool in listing:
        new = tool.name not in pins.tools
        fits = tool.size <= min(room, PINNED_DEFINITION_MAX_BYTES) and not tool.deep and places >= new
        if not fits or not tool.name or "\0" in tool.name:
            left_out.add(tool.name)
            continue
        room -= tool.size
        places -= new
        kept.append(tool)
    return kept, frozenset(left_out)


class Decided(msgspec.Struct, frozen=True):
    """What follows from a listing. `put_off`: something more will have to be recorded, when some time has passed."""

    events: list[PinEvent]
    put_off: bool = False


def decide_listing(
    pins: Pins,
    listing: Iterable[Listed],
    screen: Callable[[Listed], tuple[Finding, ...]],
    policy: Policy,
    now: dt.datetime,
) -> Decided:
    """Return what happens as the server lists these tools. Those that are not as before are screened."""
    events: list[PinEvent] = []
    put_off = False
    for tool in listing:
        pin = pins.tools.get(tool.name)
        approved = None if pin is None else pin.approved
        if pin is not None and approved is not None and approved.hash == tool.hash:
            if pin.pending is None:
                continue
            if policy.bundled or _calm(pin.released_at, now, RELEASE_CALM_SECONDS):
                events.append(
                    ToolReleased(server_id=pins.server_id, tool_name=tool.name, definition_hash=tool.hash, at=now)
                )
        elif policy.bundled:
            if approved is None or _calm(approved.at, now, PENDING_REWRITE_SECONDS):
                events.append(_approved(pins, _seen(tool, screen, now), PLATFORM))
            else:
                put_off = True
        elif pin is not None and pin.pending is not None and pin.pending.hash == tool.hash:
            continue
        elif pin is not None and pin.pending is not None and not _calm(pin.pending.at, now, PENDING_REWRITE_SECONDS):
            put_off = True
        else:
            seen = _seen(tool, screen, now)
            reason = _reason(pins, pin, seen, policy)
            events.append(
                _approved(pins, seen, pins.registrant) if reason is None else _quarantined(pins, pin, seen, reason)
            )
    return Decided(events, put_off)


def decide_approval(pins: Pins, wanted: Mapping[str, str], actor: str, now: dt.datetime) -> list[PinEvent]:
    """Return what happens as a person approves hashes by tool. The approved hash itself dismisses what is pending.

    The caller has checked that each hash is one of the two.
    """
    events: list[PinEvent] = []
    for name, digest in wanted.items():
        pin = pins.tools[name]
        if pin.pending is not None and pin.pending.hash == digest:
            events.append(_approved(pins, msgspec.structs.replace(pin.pending, at=now), actor))
        elif pin.pending is not None:
            events.append(_dismissed(pins, name, digest, actor, now))
    return events


def evolve(pin: Pin | None, event: PinEvent) -> Pin:
    """Return the pin after an event."""
    pin = pin or Pin(event.tool_name)
    if isinstance(event, ToolApproved):
        version = Version(event.definition_hash, event.definition, tuple(event.findings), event.at)
        return msgspec.structs.replace(
            pin, approved=version, approved_by=event.approved_by, pending=None, reason=None, released_at=None
        )
    if isinstance(event, ToolQuarantined):
        version = Version(event.definition_hash, event.definition, tuple(event.findings), event.at)
        return msgspec.structs.replace(pin, pending=version, reason=event.reason)
    return msgspec.structs.replace(pin, pending=None, reason=None, released_at=event.at)


def _seen(tool: Listed, screen: Callable[[Listed], tuple[Finding, ...]], now: dt.datetime) -> Version:
    return Version(tool.hash, tool.definition, screen(tool), now)


def _reason(pins: Pins, pin: Pin | None, seen: Version, policy: Policy) -> str | None:
    """Return why a definition has to wait, or None if it need not: at a server's first listing, with trust in it."""
    if pin is not None and pin.approved is not None:
        return "changed"
    if pins.listed:
        return "new"
    if policy.manual:
        return "unapproved"
    return "flagged" if policy.block and seen.findings else None


def _approved(pins: Pins, seen: Version, by: str) -> ToolApproved:
    return ToolApproved(
        server_id=pins.server_id,
        tool_name=seen.definition["name"],
        definition_hash=seen.hash,
        definition=seen.definition,
        approved_by=by,
        findings=list(seen.findings),
        at=seen.at,
    )


def _dismissed(pins: Pins, name: str, digest: str, actor: str, now: dt.datetime) -> ToolReleased:
    return ToolReleased(server_id=pins.server_id, tool_name=name, definition_hash=digest, at=now, dismissed_by=actor)


def _quarantined(pins: Pins, pin: Pin | None, seen: Version, reason: str) -> ToolQuarantined:
    approved = None if pin is None else pin.approved
    return ToolQuarantined(
        server_id=pins.server_id,
        tool_name=seen.definition["name"],
        definition_hash=seen.hash,
        definition=seen.definition,
        reason=reason,
        approved_hash=None if approved is None else approved.hash,
        diff=[] if approved is None else differences(approved.definition, seen.definition),
        findings=list(seen.findings),
        at=seen.at,
    )


def _calm(since: dt.datetime | None, now: dt.datetime, seconds: float) -> bool:
    return since is None or (now - since).total_seconds() >= seconds
