"""Who commands: the credential's scopes, and whether it is an owner's."""

from collections.abc import Iterable
from uuid import UUID

from services.tenant.domain.roles import OPERATOR_ACTOR, Actor
from shared.scope import TenantScope


def actor_of(scope: TenantScope, owners: Iterable[UUID]) -> Actor:
    """Return the actor of a request, given the tenant's owners now. API keys are never owners."""
    owning = {OPERATOR_ACTOR, *(f"user:{owner}" for owner in owners)}
    return Actor(scope.actor, scope.scopes, scope.actor in owning)
