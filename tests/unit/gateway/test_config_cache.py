"""Looking configs up: cheap, never from before a change that was told, and never a guess."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from services.mcp_gateway.adapters.configs import Configs
from services.mcp_gateway.domain.config import ConfigDefinition
from shared.errors import Unavailable
from shared.scope import TenantScope
from tests.unit.gateway.call_path import NOW, SCOPE

SERVER = uuid4()


class Rows:
    """Stands where the database is: what it holds, how often it was asked, and whether it answers now."""

    def __init__(self) -> None:
        self.definitions = [ConfigDefinition(SERVER, denied_tools=("a",))]
        self.asked: list[UUID] = []
        self.away = False
        self.open = asyncio.Event()
        self.open.set()

    @asynccontextmanager
    async def connection(self, scope: TenantScope) -> AsyncIterator["Rows"]:
        if self.away:
            raise ConnectionRefusedError("the database is away")
        self.asked.append(scope.tenant_id)
        yield self

    async def fetch(self, _: str) -> list[dict[str, Any]]:
        found = [msgspec.json.encode(definition) for definition in self.definitions]
        await self.open.wait()
        row = {"tenant_id": SCOPE.tenant_id, "revision": 1, "stream_version": 1, "created_at": NOW, "updated_at": NOW}
        return [{**row, "id": uuid4(), "definition": definition} for definition in found]


def denies(configs: Any) -> bool:
    return not configs.policy(SERVER, None, None).decide("a").allowed


async def test_many_callers_ask_once_and_again_when_it_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000.0]
    monkeypatch.setattr("services.mcp_gateway.adapters.configs._now", lambda: now[0])
    rows = Rows()
    configs = Configs(rows, lambda: None)  # type: ignore[arg-type]
    found = await asyncio.gather(*(configs.of_tenant(SCOPE) for _ in range(100)))
    assert len(rows.asked) == 1
    assert all(denies(one) for one in found)
    rows.definitions = []
    now[0] += 4.9
    assert denies(await configs.of_tenant(SCOPE))
    now[0] += 0.1
    assert not denies(await configs.of_tenant(SCOPE))
    assert len(rows.asked) == 2


async def test_a_change_that_is_told_is_seen_at_once() -> None:
    rows = Rows()
    configs = Configs(rows, lambda: None)  # type: ignore[arg-type]
    await configs.of_tenant(SCOPE)
    rows.definitions = []
    configs.forget(uuid4())
    assert denies(await configs.of_tenant(SCOPE))
    configs.forget(SCOPE.tenant_id)
    assert not denies(await configs.of_tenant(SCOPE))


async def test_what_was_being_read_when_a_change_was_told_is_not_kept() -> None:
    rows = Rows()
    configs = Configs(rows, lambda: None)  # type: ignore[arg-type]
    rows.definitions = []
    rows.open.clear()
    early = asyncio.create_task(configs.of_tenant(SCOPE))
    while not rows.asked:
        await asyncio.sleep(0)
    rows.definitions = [ConfigDefinition(SERVER, denied_tools=("a",))]
    configs.forget(SCOPE.tenant_id)
    late = asyncio.create_task(configs.of_tenant(SCOPE))
    while len(rows.asked) < 2:
        await asyncio.sleep(0)
    rows.open.set()
    assert not denies(await early)
    assert denies(await late)
    assert denies(await configs.of_tenant(SCOPE))
    assert len(rows.asked) == 2


async def test_a_database_that_is_away_is_no_permission() -> None:
    rows = Rows()
    configs = Configs(rows, lambda: None)  # type: ignore[arg-type]
    rows.away = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            await configs.of_tenant(SCOPE)
    rows.away = False
    assert denies(await configs.of_tenant(SCOPE))
    configs.forget(SCOPE.tenant_id)
    rows.away = True
    with pytest.raises(Unavailable):
        await configs.of_tenant(SCOPE)


async def test_a_caller_that_goes_takes_no_other_with_it() -> None:
    rows = Rows()
    rows.open.clear()
    configs = Configs(rows, lambda: None)  # type: ignore[arg-type]
    first, second = (asyncio.create_task(configs.of_tenant(SCOPE)) for _ in range(2))
    while not rows.asked:
        await asyncio.sleep(0)
    first.cancel()
    rows.open.set()
    assert denies(await second)
    assert len(rows.asked) == 1


async def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.mcp_gateway.adapters.configs.CONFIGS_CACHED", 10)
    configs = Configs(Rows(), lambda: None)  # type: ignore[arg-type]
    for _ in range(200):
        await configs.of_tenant(TenantScope(uuid4(), "tester"))
        assert configs._cached == sum(kept.count + 1 for _, kept in configs._cache.values())
        assert len(configs._cache) <= 6
    for tenant in list(configs._cache):
        configs.forget(tenant)
    assert configs._cached == 0
