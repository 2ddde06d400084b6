"""Who commands: the credential's scopes, and whether it is an owner's."""

from collections.abc import Iterable
from typing import Literal
from uuid import UUID

import msgspec

from services.tenant.domain.roles import OPERATOR_ACTOR, Actor
from shared.errors import Unauthenticated
from shared.scope import TenantScope


class Holder(msgspec.Struct, frozen=True):
    """Whose credential it is; `id` is None for the operator alone."""

    kind: Literal["user", "key", "operator"]
    id: UUID | None


def holder_of(scope: TenantScope) -> Holder:
    """Return whose credential made the scope. Raises `Unauthenticated` where it is nobody's, such as a service's."""
    if scope.actor == OPERATOR_ACTOR:
        return Holder("operator", None)
    kind, _, name = scope.actor.partition(":")
    try:
        holder_id = UUID(name)
    except ValueError as error:
        raise Unauthenticated("This credential is no user's and no key's.") from error
    return Holder("key" if kind == "key" else "user", holder_id)


def actor_of(scope: TenantScope, owners: Iterable[UUID]) -> Actor:
    """Return the actor of a request, given the tenant's owners now. API keys are never owners."""
    owning = {OPERATOR_ACTOR, *(f"user:{owner}" for owner in owners)}
    return Actor(scope.actor, scope.scopes, scope.actor in owning)
