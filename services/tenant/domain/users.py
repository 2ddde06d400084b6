"""Users: a role each, and a tenant always keeps an owner."""

import unicodedata
from collections.abc import Iterable
from uuid import UUID

import msgspec

from services.tenant.domain.events import UserCreated, UserDeleted
from services.tenant.domain.roles import SCOPES, Actor
from services.tenant.limits import EMAIL_MAX
from shared.errors import Conflict, FieldFault, NotFound, Unprocessable
from shared.eventstore.catalogue import DomainEvent


def normal_address(address: str) -> str:
    """Return the one form in which an e-mail address is kept and looked up: NFC, in lower case.

    The part before the @ may be case-sensitive (RFC 5321 §2.4) and in practice is not; two users whose addresses differ
    by case alone would be mistaken for each other. Raises `Unprocessable` if that form is too long.
    """
    normal = unicodedata.normalize("NFC", unicodedata.normalize("NFC", address).lower())
    if len(normal.encode()) > EMAIL_MAX:
        fault = FieldFault("email", f"At most {EMAIL_MAX} octets.", "too_long")
        raise Unprocessable("The e-mail address is too long.", faults=[fault])
    return normal


class User(msgspec.Struct, frozen=True):
    """What the events say of a user."""

    role: str = ""
    exists: bool = False


class CreateUser(msgspec.Struct, frozen=True):
    """Let somebody log in."""

    role: str


class DeleteUser(msgspec.Struct, frozen=True):
    """Remove user `user_id`; `owners` are all owners of the tenant now."""

    user_id: UUID
    owners: frozenset[UUID]


def evolve(state: User, event: DomainEvent) -> User:
    """Return the state after an event."""
    match event:
        case UserCreated(role=role):
            return User(role, exists=True)
        case UserDeleted():
            return User(state.role, exists=False)
        case _:
            return state


def fold(events: Iterable[DomainEvent]) -> User:
    """Return the state after all events."""
    state = User()
    for event in events:
        state = evolve(state, event)
    return state


def decide(state: User, command: CreateUser | DeleteUser, actor: Actor) -> list[DomainEvent]:
    """Return what happens. Raises `Forbidden`, `NotFound`, `Conflict`."""
    match command:
        case CreateUser(role=role):
            actor.require_within(SCOPES[role])
            actor.require_owner_for(role)
            return [UserCreated(role=role)]
        case DeleteUser(user_id=user_id, owners=owners):
            if not state.exists:
                raise NotFound("There is no such user.")
            actor.require_owner_for(state.role)
            if owners <= {user_id}:
                raise Conflict("A tenant keeps at least one owner.")
            return [UserDeleted()]
