"""What happened to tenants, users, keys and secrets.

No event holds an e-mail address, a password, a key or the value of a secret: events cannot be deleted, and users can
ask to be. What names a person stands in the row alone.
"""

import datetime as dt
from typing import ClassVar
from uuid import UUID

from shared.eventstore.catalogue import DomainEvent, EventCatalogue


class TenantCreated(DomainEvent, frozen=True):
    """A tenant exists. Without a parent it is the platform's own, which may create others."""

    TYPE: ClassVar[str] = "tenant.tenant-created.v1"
    PUBLIC: ClassVar[bool] = True
    slug: str
    name: str
    plan: str
    parent_id: UUID | None = None


class UserCreated(DomainEvent, frozen=True):
    """A user may log in."""

    TYPE: ClassVar[str] = "tenant.user-created.v1"
    PUBLIC: ClassVar[bool] = True
    role: str


class UserDeleted(DomainEvent, frozen=True):
    """A user is gone, and their e-mail address with them."""

    TYPE: ClassVar[str] = "tenant.user-deleted.v1"
    PUBLIC: ClassVar[bool] = True


class ApiKeyCreated(DomainEvent, frozen=True):
    """A key works, until `expires_at` if that is given."""

    TYPE: ClassVar[str] = "tenant.api-key-created.v1"
    PUBLIC: ClassVar[bool] = True
    name: str
    prefix: str
    scopes: tuple[str, ...]
    expires_at: dt.datetime | None = None


class ApiKeyRevoked(DomainEvent, frozen=True):
    """A key works no longer."""

    TYPE: ClassVar[str] = "tenant.api-key-revoked.v1"
    PUBLIC: ClassVar[bool] = True


class SecretSet(DomainEvent, frozen=True):
    """The secret of this name has a new value: its `version`th."""

    TYPE: ClassVar[str] = "tenant.secret-set.v1"
    PUBLIC: ClassVar[bool] = True
    name: str
    version: int


class SecretDeleted(DomainEvent, frozen=True):
    """There is no secret of this name any more."""

    TYPE: ClassVar[str] = "tenant.secret-deleted.v1"
    PUBLIC: ClassVar[bool] = True
    name: str


CATALOGUE = EventCatalogue(
    [TenantCreated, UserCreated, UserDeleted, ApiKeyCreated, ApiKeyRevoked, SecretSet, SecretDeleted]
)
