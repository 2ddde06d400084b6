"""Tenants, users and keys: given what happened, when somebody commands, then this happens."""

import datetime as dt
from uuid import UUID

import pytest

from services.tenant.domain import api_keys, users
from services.tenant.domain.api_keys import ApiKey, CreateApiKey, RevokeApiKey
from services.tenant.domain.events import ApiKeyCreated, ApiKeyRevoked, TenantCreated, UserCreated, UserDeleted
from services.tenant.domain.roles import SCOPES, Actor
from services.tenant.domain.tenants import CreateTenant, decide_creation
from services.tenant.domain.users import CreateUser, DeleteUser, User
from shared.errors import Conflict, Forbidden, NotFound, PlatformError, Unprocessable

ONE, TWO = UUID(int=1), UUID(int=2)
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
WEST = dt.timezone(dt.timedelta(hours=-14))


def actor(role: str) -> Actor:
    return Actor(f"user:{ONE}", SCOPES[role], role == "owner")


def create_key(*scopes: str, expires_at: dt.datetime | None = None) -> CreateApiKey:
    return CreateApiKey("ci", "ap_dev_abc", scopes, expires_at, NOW)


def test_roles_grow_from_viewer_to_owner() -> None:
    assert SCOPES["viewer"] < SCOPES["developer"] < SCOPES["admin"] == SCOPES["owner"]


def test_only_the_platforms_own_tenant_creates_tenants() -> None:
    command = CreateTenant("acme", "Acme", "free", ONE)
    with pytest.raises(Forbidden):
        decide_creation(command, parent_is_platform=False)
    created = TenantCreated(slug="acme", name="Acme", plan="free", parent_id=ONE)
    assert decide_creation(command, parent_is_platform=True) == [created]


@pytest.mark.parametrize(
    ("by", "role", "allowed"),
    [
        ("owner", "owner", True),
        ("owner", "viewer", True),
        ("admin", "owner", False),
        ("admin", "admin", True),
        ("developer", "admin", False),
        ("developer", "viewer", True),
        ("viewer", "developer", False),
    ],
)
def test_nobody_makes_a_user_with_more_than_they_have(by: str, role: str, *, allowed: bool) -> None:
    if allowed:
        assert users.decide(User(), CreateUser(role), actor(by)) == [UserCreated(role=role)]
    else:
        with pytest.raises(Forbidden):
            users.decide(User(), CreateUser(role), actor(by))


@pytest.mark.parametrize(
    ("given", "owners", "by", "refusal"),
    [
        ([UserCreated(role="viewer")], {ONE}, "admin", None),
        ([UserCreated(role="owner")], {ONE, TWO}, "owner", None),
        ([UserCreated(role="owner")], {TWO}, "owner", Conflict),
        ([UserCreated(role="owner")], {ONE, TWO}, "admin", Forbidden),
        ([UserCreated(role="viewer"), UserDeleted()], {ONE}, "owner", NotFound),
        ([], {ONE}, "owner", NotFound),
    ],
    ids=["a viewer", "one of two owners", "the last owner", "an owner by an admin", "twice", "nobody"],
)
def test_a_user_is_deleted_unless_that_leaves_no_owner(
    given: list[UserCreated | UserDeleted], owners: set[UUID], by: str, refusal: type[PlatformError] | None
) -> None:
    command = DeleteUser(TWO, frozenset(owners))
    if refusal is None:
        assert users.decide(users.fold(given), command, actor(by)) == [UserDeleted()]
    else:
        with pytest.raises(refusal):
            users.decide(users.fold(given), command, actor(by))


@pytest.mark.parametrize(
    ("command", "by", "refusal"),
    [
        (create_key("mcp:read"), "developer", None),
        (create_key("mcp:read", expires_at=NOW + dt.timedelta(seconds=1)), "owner", None),
        (create_key("tenants:admin"), "developer", Forbidden),
        (create_key("everything"), "owner", Unprocessable),
        (create_key("mcp:read", expires_at=NOW), "owner", Unprocessable),
        (create_key("mcp:read", expires_at=NOW + dt.timedelta(days=3660)), "owner", None),
        (create_key("mcp:read", expires_at=NOW + dt.timedelta(days=3661)), "owner", Unprocessable),
        (create_key("mcp:read", expires_at=dt.datetime.max.replace(tzinfo=WEST)), "owner", Unprocessable),
    ],
)
def test_a_key_gives_no_more_than_its_maker_has(
    command: CreateApiKey, by: str, refusal: type[PlatformError] | None
) -> None:
    if refusal is None:
        (event,) = api_keys.decide(ApiKey(), command, actor(by))
        assert event == ApiKeyCreated(
            name="ci", prefix=command.prefix, scopes=command.scopes, expires_at=command.expires_at
        )
    else:
        with pytest.raises(refusal):
            api_keys.decide(ApiKey(), command, actor(by))


def test_revoking_twice_is_revoking_once() -> None:
    given: list[ApiKeyCreated | ApiKeyRevoked] = [ApiKeyCreated(name="ci", prefix="p", scopes=("mcp:read",))]
    with pytest.raises(NotFound):
        api_keys.decide(api_keys.fold([]), RevokeApiKey(), actor("owner"))
    then = api_keys.decide(api_keys.fold(given), RevokeApiKey(), actor("owner"))
    assert then == [ApiKeyRevoked()]
    assert api_keys.decide(api_keys.fold([*given, ApiKeyRevoked()]), RevokeApiKey(), actor("owner")) == []


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Anna@Acme.Test", "anna@acme.test"),
        ("Jose\u0301@acme.test", "jos\u00e9@acme.test"),
        ("JOSE\u0301@acme.test", "jos\u00e9@acme.test"),
        ("stra\u00dfe@acme.test", "stra\u00dfe@acme.test"),
    ],
)
def test_an_address_has_one_form(typed: str, kept: str) -> None:
    assert users.normal_address(typed) == kept
    assert users.normal_address(kept) == kept


def test_an_address_is_bounded_in_octets_of_the_form_that_is_kept() -> None:
    assert users.normal_address("x" * 252 + "@a") == "x" * 252 + "@a"
    for long in ("x" * 253 + "@a", "\u00e9" * 127 + "@a", "\U0001d160" * 22 + "@a"):
        with pytest.raises(Unprocessable):
            users.normal_address(long)
