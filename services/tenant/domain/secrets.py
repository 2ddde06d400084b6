"""Secrets: set, set anew, deleted. What happened to them is told; what they hold is not part of this."""

from collections.abc import Iterable

import msgspec

from services.tenant.domain.events import SecretDeleted, SecretSet
from services.tenant.limits import SECRETS_PER_TENANT_MAX
from shared.errors import Conflict, NotFound
from shared.eventstore.catalogue import DomainEvent


class Secret(msgspec.Struct, frozen=True):
    """What the events say of a secret. `version` counts the values that it ever had, over deletions too."""

    version: int = 0
    exists: bool = False


class SetSecret(msgspec.Struct, frozen=True):
    """Give the secret of this name a new value; `others` is how many secrets the tenant has beside it."""

    name: str
    others: int


class DeleteSecret(msgspec.Struct, frozen=True):
    """Take a secret away."""

    name: str


def evolve(state: Secret, event: DomainEvent) -> Secret:
    """Return the state after an event."""
    match event:
        case SecretSet(version=version):
            return Secret(version, exists=True)
        case SecretDeleted():
            return Secret(state.version, exists=False)
        case _:
            return state


def fold(events: Iterable[DomainEvent]) -> Secret:
    """Return the state after all events."""
    state = Secret()
    for event in events:
        state = evolve(state, event)
    return state


def decide(state: Secret, command: SetSecret | DeleteSecret) -> list[DomainEvent]:
    """Return what happens. Raises `Conflict` where there are too many, and `NotFound`."""
    match command:
        case SetSecret(name=name, others=others):
            if not state.exists and others >= SECRETS_PER_TENANT_MAX:
                raise Conflict(f"A tenant has at most {SECRETS_PER_TENANT_MAX} secrets.")
            return [SecretSet(name=name, version=state.version + 1)]
        case DeleteSecret(name=name):
            if not state.exists:
                raise NotFound("There is no such secret.")
            return [SecretDeleted(name=name)]
