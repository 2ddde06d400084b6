"""Tenants: created by the platform's own tenant."""

from typing import Literal
from uuid import UUID

import msgspec

from services.tenant.domain.events import TenantCreated
from shared.errors import Forbidden

Plan = Literal["free", "team", "enterprise"]


class CreateTenant(msgspec.Struct, frozen=True):
    """Make a tenant. `parent_id` is whose tenant asks, None for the platform's own at its seeding."""

    slug: str
    name: str
    plan: str
    parent_id: UUID | None


def decide_creation(command: CreateTenant, *, parent_is_platform: bool) -> list[TenantCreated]:
    """Return what happens. Raises `Forbidden` for a tenant that is not the platform's own."""
    if command.parent_id is not None and not parent_is_platform:
        raise Forbidden("Only the platform's own tenant can create tenants.")
    return [TenantCreated(slug=command.slug, name=command.name, plan=command.plan, parent_id=command.parent_id)]
