"""Whoever is revoked is refused in this process as soon as that is committed, and not before."""

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import UUID

import pytest

from services.tenant.app.accounts import Accounts
from services.tenant.app.keys import ApiKeys
from services.tenant.app.ports import Passwords, Registry
from services.tenant.domain.events import ApiKeyCreated, UserCreated
from shared.auth.scopes import ALL_SCOPES
from shared.errors import Unavailable
from shared.eventstore.catalogue import DomainEvent
from shared.scope import TenantScope

WHO, OWNER = UUID(int=1), UUID(int=2)
SCOPE = TenantScope(UUID(int=3), f"user:{OWNER}", ALL_SCOPES)


class Rows:
    """A user or key, an owner, and commits that may fail."""

    position = 0

    def __init__(self, history: Sequence[DomainEvent], revoked: list[str], *, commits: bool) -> None:
        self._history = list(history)
        self._revoked = revoked
        self._commits = commits

    async def history(self, *_: object) -> list[DomainEvent]:
        return self._history

    @asynccontextmanager
    async def change(self, _: TenantScope) -> AsyncIterator[Any]:
        yield self
        assert not self._revoked
        if not self._commits:
            raise Unavailable("gone")

    async def owners(self) -> frozenset[UUID]:
        return frozenset({OWNER})

    async def remove_user(self, _: UUID) -> None:
        """Nothing to remove."""

    async def revoke_api_key(self, *_: object) -> None:
        """Nothing to mark."""

    def record(self, *_: object) -> None:
        """Nothing to keep."""


def now() -> dt.datetime:
    return dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


async def revoke(kind: str, registry: Registry, revoked: list[str]) -> None:
    if kind == "user":
        await Accounts(registry, cast("Passwords", None), now, revoked.append).delete_user(SCOPE, WHO)
    else:
        keys = ApiKeys(registry, lambda secret: secret.encode(), now, revoked.append, environment="dev")
        await keys.revoke(SCOPE, WHO)


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize(
    ("kind", "made"),
    [("user", UserCreated(role="viewer")), ("key", ApiKeyCreated(name="ci", prefix="p", scopes=("mcp:read",)))],
)
async def test_it_is_refused_once_that_is_committed(kind: str, made: DomainEvent, *, commits: bool) -> None:
    revoked: list[str] = []
    registry = cast("Registry", Rows([made], revoked, commits=commits))
    if commits:
        await revoke(kind, registry, revoked)
        assert revoked == [f"{kind}:{WHO}"]
    else:
        with pytest.raises(Unavailable):
            await revoke(kind, registry, revoked)
        assert revoked == []
