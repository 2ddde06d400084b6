"""Bodies of the HTTP API."""

import datetime as dt
from typing import Annotated
from uuid import UUID

import msgspec

from services.tenant.app.ports import ApiKeyRow, SecretRow, TenantRow, UserRow
from services.tenant.domain.roles import Role
from services.tenant.domain.tenants import Plan
from services.tenant.limits import (
    API_KEY_NAME_MAX,
    API_KEY_SCOPES_MAX,
    EMAIL_MAX,
    NAME_MAX,
    PASSWORD_MAX,
    PASSWORD_MIN,
    SCOPE_MAX,
    SECRET_DESCRIPTION_MAX,
    SLUG_MAX,
)
from shared.limits import SECRET_VALUE_MAX_BYTES

# `$` alone would let a newline follow. Control characters are no part of any name, and Postgres stores no NUL; what is
# invisible, or turns the direction of the text, makes two names look like one.
_END = r"$(?!\n)"
_UNSEEN = r"\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
Slug = Annotated[str, msgspec.Meta(pattern=rf"^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?{_END}", max_length=SLUG_MAX)]
Email = Annotated[str, msgspec.Meta(pattern=rf"^[^@\s{_UNSEEN}]+@[^@\s{_UNSEEN}]+{_END}", max_length=EMAIL_MAX)]
_PRINTABLE = rf"^[^{_UNSEEN}]+{_END}"
NewPassword = Annotated[str, msgspec.Meta(min_length=PASSWORD_MIN, max_length=PASSWORD_MAX)]
Scope = Annotated[str, msgspec.Meta(max_length=SCOPE_MAX)]
SecretName = Annotated[str, msgspec.Meta(pattern=rf"^[A-Za-z_][A-Za-z0-9_]{{0,62}}{_END}")]
Moment = Annotated[dt.datetime, msgspec.Meta(tz=True)]


class LoginBody(msgspec.Struct, forbid_unknown_fields=True):
    """`tenant` is a slug, needed only by those who have accounts in several tenants."""

    email: Email
    password: Annotated[str, msgspec.Meta(max_length=PASSWORD_MAX)]
    tenant: Slug | None = None


class OwnerBody(msgspec.Struct, forbid_unknown_fields=True):
    """The first user of a new tenant."""

    email: Email
    password: NewPassword


class TenantBody(msgspec.Struct, forbid_unknown_fields=True):
    """A tenant to be created."""

    slug: Slug
    name: Annotated[str, msgspec.Meta(pattern=_PRINTABLE, max_length=NAME_MAX)]
    owner: OwnerBody
    plan: Plan = "free"


class UserBody(msgspec.Struct, forbid_unknown_fields=True):
    """A user to be created."""

    email: Email
    password: NewPassword
    role: Role


class ApiKeyBody(msgspec.Struct, forbid_unknown_fields=True):
    """A key to be created."""

    name: Annotated[str, msgspec.Meta(pattern=_PRINTABLE, max_length=API_KEY_NAME_MAX)]
    scopes: Annotated[
        frozenset[Annotated[str, msgspec.Meta(max_length=SCOPE_MAX)]],
        msgspec.Meta(min_length=1, max_length=API_KEY_SCOPES_MAX),
    ]
    expires_at: Moment | None = None


class SecretBody(msgspec.Struct, forbid_unknown_fields=True):
    """A secret to be set."""

    name: SecretName
    value: Annotated[str, msgspec.Meta(min_length=1, max_length=SECRET_VALUE_MAX_BYTES)]
    description: Annotated[str, msgspec.Meta(pattern=rf"^[^{_UNSEEN}]*{_END}", max_length=SECRET_DESCRIPTION_MAX)] = ""


class Me(msgspec.Struct):
    """Whom the credential stands for; `email` and `role` if that is a user."""

    actor: str
    tenant_id: UUID
    tenant_slug: str
    scopes: list[str]
    email: str | None = None
    role: str | None = None


class CreatedApiKey(msgspec.Struct):
    """A new key; `key` is shown this once."""

    id: UUID
    tenant_id: UUID
    name: str
    prefix: str
    scopes: list[str]
    created_by: str
    created_at: dt.datetime
    expires_at: dt.datetime | None
    key: str


class Tenants(msgspec.Struct):
    """A page of tenants."""

    tenants: list[TenantRow]
    total: int
    offset: int
    limit: int
    next_cursor: str | None


class Users(msgspec.Struct):
    """A page of users."""

    users: list[UserRow]
    total: int
    offset: int
    limit: int
    next_cursor: str | None


class ApiKeyPage(msgspec.Struct):
    """A page of API keys."""

    api_keys: list[ApiKeyRow]
    total: int
    offset: int
    limit: int
    next_cursor: str | None


class SecretPage(msgspec.Struct):
    """A page of secrets."""

    secrets: list[SecretRow]
    total: int
    offset: int
    limit: int
    next_cursor: str | None


class KeySet(msgspec.Struct):
    """A JWK set (RFC 7517 §5)."""

    keys: list[dict[str, str]]
