"""API keys: how they look, and their life."""

import datetime as dt
import zlib
from collections.abc import Iterable

import msgspec

from services.tenant.domain.events import ApiKeyCreated, ApiKeyRevoked
from services.tenant.domain.roles import Actor
from services.tenant.limits import API_KEY_LIFE_MAX_DAYS, KEY_SHOWN_CHARACTERS
from shared.auth.scopes import ALL_SCOPES
from shared.auth.verifier import API_KEY_PREFIX
from shared.errors import FieldFault, NotFound, Unprocessable
from shared.eventstore.catalogue import DomainEvent

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_DIGITS = 43  # 62**43 > 2**256
_CHECK_DIGITS = 6  # 62**6 > 2**32


def format_key(environment: str, secret: bytes) -> str:
    """Return `ap_<environment>_` + 32 secret bytes in base 62 + their CRC-32 in base 62.

    The check digits let a mistyped key be refused without a look-up, and a scanner tell a leaked one from noise.
    """
    head = f"{API_KEY_PREFIX}{environment}_{_base62(int.from_bytes(secret, 'big'), _SECRET_DIGITS)}"
    return head + _check(head)


def is_well_formed(key: str) -> bool:
    """Say whether the check digits are right."""
    head, digits = key[:-_CHECK_DIGITS], key[-_CHECK_DIGITS:]
    return key.isascii() and head.startswith(API_KEY_PREFIX) and _check(head) == digits


def shown_prefix(key: str) -> str:
    """Return the first characters, by which people recognise a key."""
    head, _, secret = key.rpartition("_")
    return f"{head}_{secret[:KEY_SHOWN_CHARACTERS]}"


def _check(head: str) -> str:
    return _base62(zlib.crc32(head.encode()), _CHECK_DIGITS)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


class ApiKey(msgspec.Struct, frozen=True):
    """What the events say of a key."""

    exists: bool = False
    revoked: bool = False


class CreateApiKey(msgspec.Struct, frozen=True):
    """Make a key with some of the actor's scopes."""

    name: str
    prefix: str
    scopes: tuple[str, ...]
    expires_at: dt.datetime | None
    now: dt.datetime


class RevokeApiKey(msgspec.Struct, frozen=True):
    """Make a key useless."""


def evolve(state: ApiKey, event: DomainEvent) -> ApiKey:
    """Return the state after an event."""
    match event:
        case ApiKeyCreated():
            return ApiKey(exists=True)
        case ApiKeyRevoked():
            return ApiKey(exists=state.exists, revoked=True)
        case _:
            return state


def fold(events: Iterable[DomainEvent]) -> ApiKey:
    """Return the state after all events."""
    state = ApiKey()
    for event in events:
        state = evolve(state, event)
    return state


def decide(state: ApiKey, command: CreateApiKey | RevokeApiKey, actor: Actor) -> list[DomainEvent]:
    """Return what happens; revoking twice is nothing. Raises `Forbidden`, `NotFound`, `Unprocessable`."""
    match command:
        case CreateApiKey(name=name, prefix=prefix, scopes=scopes, expires_at=expires_at, now=now):
            unknown = sorted(set(scopes) - ALL_SCOPES)
            if unknown:
                faults = [FieldFault("scopes", f"{scope!r} is no scope.", "unknown_scope") for scope in unknown]
                raise Unprocessable("A key can only have scopes that exist.", faults=faults)
            if expires_at is not None and expires_at <= now:
                fault = FieldFault("expires_at", "This time has passed.", "in_the_past")
                raise Unprocessable("A key must expire in the future.", faults=[fault])
            if expires_at is not None and expires_at > now + dt.timedelta(days=API_KEY_LIFE_MAX_DAYS):
                fault = FieldFault("expires_at", "Leave it out for a key that does not expire.", "too_late")
                raise Unprocessable("A key that expires does so within ten years.", faults=[fault])
            actor.require_within(frozenset(scopes))
            return [ApiKeyCreated(name=name, prefix=prefix, scopes=scopes, expires_at=expires_at)]
        case RevokeApiKey():
            if not state.exists:
                raise NotFound("There is no such API key.")
            return [] if state.revoked else [ApiKeyRevoked()]
