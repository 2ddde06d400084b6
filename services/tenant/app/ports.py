"""What the tenant service needs from outside."""

import datetime as dt
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import msgspec

from shared.eventstore.catalogue import DomainEvent
from shared.paging import Place
from shared.scope import TenantScope

R = TypeVar("R")


class TenantRow(msgspec.Struct, frozen=True):
    """A tenant as read."""

    id: UUID
    slug: str
    name: str
    plan: str
    status: str
    parent_id: UUID | None
    created_at: dt.datetime
    updated_at: dt.datetime


class UserRow(msgspec.Struct, frozen=True):
    """A user as read: without the password's hash."""

    id: UUID
    tenant_id: UUID
    email: str
    role: str
    status: str
    created_at: dt.datetime


class ApiKeyRow(msgspec.Struct, frozen=True):
    """A key as read: without its digest."""

    id: UUID
    tenant_id: UUID
    name: str
    prefix: str
    scopes: list[str]
    created_by: str
    created_at: dt.datetime
    expires_at: dt.datetime | None
    revoked_at: dt.datetime | None
    last_used_at: dt.datetime | None


class SecretRow(msgspec.Struct, frozen=True):
    """A secret as read: without its value."""

    id: UUID
    tenant_id: UUID
    name: str
    description: str
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime
    updated_by: str


class Page(msgspec.Struct, Generic[R], frozen=True):
    """A stretch of a list, and how many there are in all."""

    rows: list[R]
    total: int


class Window(msgspec.Struct, frozen=True):
    """Which stretch: after the row at `after` (newest first), skipping `offset`."""

    limit: int
    offset: int = 0
    after: Place | None = None


class Claim(msgspec.Struct, frozen=True):
    """The id of something to be made, and the digest of the request that asks for it.

    Without an Idempotency-Key the id is new and there is no digest. Else both follow from key and request.
    """

    id: UUID
    digest: bytes | None = None


class Revoked(Protocol):
    """Told at once of who may do nothing any more."""

    def __call__(self, actor: str) -> None:
        """Refuse whoever acts as this (`user:<id>`, `key:<id>`)."""
        ...


class Change(Protocol):
    """One transaction inside one tenant: rows, and at its end the events."""

    position: int

    async def claim(self, claim: Claim) -> None:
        """Note what request makes this. Raises `Conflict` if it is being made now."""
        ...

    async def owners(self) -> frozenset[UUID]:
        """Return the tenant's owners, who stay the same until the transaction ends."""
        ...

    async def add_tenant(self, row: TenantRow) -> None:
        """Add a tenant. Raises `Conflict` for a slug that is taken."""
        ...

    async def add_user(self, row: UserRow, password_hash: str) -> None:
        """Add a user. Raises `Conflict` for an e-mail address that is taken."""
        ...

    async def remove_user(self, user_id: UUID) -> None:
        """Remove a user's row."""
        ...

    async def add_api_key(self, row: ApiKeyRow, digest: bytes) -> None:
        """Add a key. Raises `Conflict` if its id exists."""
        ...

    async def revoke_api_key(self, key_id: UUID, at: dt.datetime) -> None:
        """Mark a key as revoked."""
        ...

    def record(self, stream_id: UUID, after: int, events: Sequence[DomainEvent]) -> None:
        """Have events appended to a stream that has `after` of them now."""
        ...


class Registry(Protocol):
    """Tenants, users and keys, as one tenant sees them."""

    def change(self, scope: TenantScope) -> AbstractAsyncContextManager[Change]:
        """Begin a transaction; afterwards `position` is that of its last event."""
        ...

    async def history(self, scope: TenantScope, stream_id: UUID) -> list[DomainEvent]:
        """Return a stream's events."""
        ...

    async def claimed(self, scope: TenantScope, thing_id: UUID) -> bytes | None:
        """Return the digest of the request that made this, if that had an Idempotency-Key."""
        ...

    async def standing(self, scope: TenantScope, kind: str, holder_id: UUID | None) -> bool:
        """Say whether the scope's tenant is active, and in it the `user` or `key` with this id, if it is one's."""
        ...

    async def tenant(self, scope: TenantScope, tenant_id: UUID) -> TenantRow | None:
        """Return a tenant that the scope sees: its own, or one that it created."""
        ...

    async def tenants(self, scope: TenantScope, window: Window) -> Page[TenantRow]:
        """List the tenants that the scope sees."""
        ...

    async def user(self, scope: TenantScope, user_id: UUID) -> UserRow | None:
        """Return a user."""
        ...

    async def users(self, scope: TenantScope, window: Window) -> Page[UserRow]:
        """List the users."""
        ...

    async def api_key(self, scope: TenantScope, key_id: UUID) -> ApiKeyRow | None:
        """Return a key."""
        ...

    async def api_keys(self, scope: TenantScope, window: Window) -> Page[ApiKeyRow]:
        """List the keys."""
        ...


class SecretChange(Protocol):
    """One transaction inside one tenant, while no other changes its secrets: rows, and at its end the events."""

    position: int

    async def claim(self, claim: Claim) -> None:
        """Note what request makes this. Raises `Conflict` if it is being made now."""
        ...

    async def count(self) -> int:
        """Return how many secrets the tenant has."""
        ...

    async def names(self) -> list[str]:
        """Return the names of all of them."""
        ...

    async def put(
        self, secret_id: UUID, name: str, value: str, description: str, version: int, at: dt.datetime
    ) -> SecretRow:
        """Encrypt and keep a value, in place of the one before."""
        ...

    async def remove(self, name: str) -> None:
        """Delete a value."""
        ...

    async def destroy_data_key(self) -> None:
        """Delete the key that all values are encrypted with."""
        ...

    def record(self, stream_id: UUID, after: int, events: Sequence[DomainEvent]) -> None:
        """Have events appended to a stream that has `after` of them now."""
        ...


class SecretStore(Protocol):
    """Secrets, as one tenant sees them."""

    def change(self, scope: TenantScope) -> AbstractAsyncContextManager[SecretChange]:
        """Begin a transaction; afterwards `position` is that of its last event."""
        ...

    async def secret(self, scope: TenantScope, name: str) -> SecretRow | None:
        """Return a secret without its value."""
        ...

    async def page(self, scope: TenantScope, window: Window) -> Page[SecretRow]:
        """List the secrets without their values."""
        ...

    async def values(self, scope: TenantScope, names: Sequence[str]) -> dict[str, str]:
        """Return the values of those names that an active tenant has. Raises `Unavailable`."""
        ...


class LoginRecord(msgspec.Struct, frozen=True):
    """Somebody who may be logging in."""

    tenant_id: UUID
    user_id: UUID
    role: str
    password_hash: str


class KeyRecord(msgspec.Struct, frozen=True):
    """A key that works now."""

    tenant_id: UUID
    id: UUID
    scopes: list[str]


class Directory(Protocol):
    """Look-ups made before it is known whose tenant asks: the only reads across tenants."""

    async def logins(self, email: str, tenant_slug: str | None) -> list[LoginRecord]:
        """Return the active users of active tenants with this address, at most two."""
        ...

    async def key(self, digests: Sequence[bytes]) -> KeyRecord | None:
        """Return the key with one of these digests if it and its tenant are good, and note that it was used.

        From then on it has the first of them.
        """
        ...

    async def active_tenant(self, slug: str) -> UUID | None:
        """Return the id of an active tenant."""
        ...

    async def first_use(self, nonce: str) -> bool:
        """Note that a command of the operator was seen, and say whether it is new to all replicas."""
        ...

    async def revoked(self, seconds: float, limit: int) -> list[str]:
        """Return who was revoked in the last seconds, as `user:<id>` or `key:<id>`, the newest first."""
        ...


class Passwords(Protocol):
    """Hashing that is slow on purpose."""

    async def hash(self, password: str) -> str:
        """Return what to store."""
        ...

    async def check(self, stored: str | None, password: str) -> bool:
        """Say whether the password is right; with nothing stored it takes as long and is not."""
        ...


class TokenSigner(Protocol):
    """Signs access tokens and publishes the keys to verify them with."""

    async def sign(self, claims: dict[str, Any]) -> str:
        """Return a JWT, signed with the key that is active now."""
        ...

    async def jwks(self) -> list[dict[str, Any]]:
        """Return the public keys as JWKs: the active one, and retired ones that tokens may still be signed with."""
        ...


class SecretDigester(Protocol):
    """Turns a secret into what is stored of it."""

    def __call__(self, secret: str) -> bytes:
        """Return the digest."""
        ...

    def every(self, secret: str) -> list[bytes]:
        """Return that digest, and those that would be stored if it was stored under a former master key."""
        ...


class Clock(Protocol):
    """The time."""

    def __call__(self) -> dt.datetime:
        """Return now, in UTC."""
        ...
