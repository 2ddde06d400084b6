"""Tenants and their users."""

from uuid import UUID

import msgspec

from services.tenant.app.actors import actor_of, holder_of
from services.tenant.app.claims import made_before
from services.tenant.app.ports import Claim, Clock, Page, Passwords, Registry, Revoked, TenantRow, UserRow, Window
from services.tenant.domain import users
from services.tenant.domain.events import UserCreated
from services.tenant.domain.tenants import CreateTenant, decide_creation
from services.tenant.domain.users import CreateUser, DeleteUser, normal_address
from shared.errors import Conflict, NotFound, Unauthenticated
from shared.ids import new_id
from shared.scope import TenantScope


class NewTenant(msgspec.Struct, frozen=True):
    """A tenant to be, and its first owner."""

    slug: str
    name: str
    plan: str
    owner_email: str
    owner_password: str


class Accounts:
    """Creates, lists and removes. Methods that write return the row and the position of the last event.

    For a request that was answered before, the row is returned as it is now, with position 0.
    """

    def __init__(self, registry: Registry, passwords: Passwords, clock: Clock, revoked: Revoked) -> None:
        self._registry = registry
        self._passwords = passwords
        self._clock = clock
        self._revoked = revoked

    async def require_standing(self, scope: TenantScope) -> None:
        """Raise `Unauthenticated` unless the tenant, and the user or key whose credential it is, are good now.

        A token and a remembered key say what was true when they were verified; this asks the rows.
        """
        holder = holder_of(scope)
        if not await self._registry.standing(scope, holder.kind, holder.id):
            raise Unauthenticated("The credential was revoked, or its user or tenant is not active.")

    async def create_tenant(
        self, scope: TenantScope | None, new: NewTenant, claim: Claim, *, owner_id: UUID | None = None
    ) -> tuple[TenantRow, int]:
        """Create a tenant with an owner, in the name of `scope` (None: the platform's own, at its seeding)."""
        parent_id = scope.tenant_id if scope else None
        parent = await self._registry.tenant(scope, scope.tenant_id) if scope else None
        events = decide_creation(
            CreateTenant(new.slug, new.name, new.plan, parent_id),
            parent_is_platform=parent is not None and parent.parent_id is None,
        )
        tenant_id = claim.id
        inside = TenantScope(tenant_id, scope.actor if scope else "system")
        if await made_before(self._registry, inside, claim):
            return await self.tenant(inside, tenant_id), 0
        email = normal_address(new.owner_email)
        password_hash = await self._passwords.hash(new.owner_password)
        now = self._clock()
        row = TenantRow(tenant_id, new.slug, new.name, new.plan, "active", parent_id, now, now)
        owner = UserRow(owner_id or new_id(), tenant_id, email, "owner", "active", now)
        # The transaction is the new tenant's: it is the only one that may write its rows.
        async with self._registry.change(inside) as change:
            await change.add_tenant(row)
            await change.claim(claim)
            await change.add_user(owner, password_hash)
            change.record(tenant_id, 0, events)
            change.record(owner.id, 0, [UserCreated(role="owner")])
        return row, change.position

    async def create_user(
        self, scope: TenantScope, email: str, password: str, role: str, claim: Claim
    ) -> tuple[UserRow, int]:
        """Create a user whose role gives no more than the actor has."""
        email = normal_address(email)
        if await made_before(self._registry, scope, claim):
            seen = await self._registry.user(scope, claim.id)
            if seen is None:
                raise Conflict("The user whom this Idempotency-Key made was deleted since.")
            return seen, 0
        password_hash = await self._passwords.hash(password)
        row = UserRow(claim.id, scope.tenant_id, email, role, "active", self._clock())
        async with self._registry.change(scope) as change:
            actor = actor_of(scope, await change.owners())
            events = users.decide(users.User(), CreateUser(role), actor)
            await change.claim(claim)
            await change.add_user(row, password_hash)
            change.record(row.id, 0, events)
        return row, change.position

    async def delete_user(self, scope: TenantScope, user_id: UUID) -> int:
        """Delete a user; return the position of the event."""
        history = await self._registry.history(scope, user_id)
        async with self._registry.change(scope) as change:
            owners = await change.owners()
            events = users.decide(users.fold(history), DeleteUser(user_id, owners), actor_of(scope, owners))
            await change.remove_user(user_id)
            change.record(user_id, len(history), events)
        self._revoked(f"user:{user_id}")
        return change.position

    async def tenants(self, scope: TenantScope, window: Window) -> Page[TenantRow]:
        """List the scope's own tenant and those that it created."""
        return await self._registry.tenants(scope, window)

    async def users(self, scope: TenantScope, window: Window) -> Page[UserRow]:
        """List the tenant's users."""
        return await self._registry.users(scope, window)

    async def tenant(self, scope: TenantScope, tenant_id: UUID) -> TenantRow:
        """Return a tenant that the scope sees."""
        row = await self._registry.tenant(scope, tenant_id)
        if row is None:
            raise NotFound("There is no such tenant.")
        return row

    async def user(self, scope: TenantScope, user_id: UUID) -> UserRow:
        """Return a user."""
        row = await self._registry.user(scope, user_id)
        if row is None:
            raise NotFound("There is no such user.")
        return row
