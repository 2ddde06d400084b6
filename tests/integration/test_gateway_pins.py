"""What a store of pins promises, on Postgres and in memory; and what only a database can do wrong."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio

from services.mcp_gateway.adapters.pins import PostgresPins
from services.mcp_gateway.adapters.registry import Registry
from services.mcp_gateway.app.trust import PinStore
from services.mcp_gateway.domain.events import ToolApproved, ToolQuarantined, ToolReleased
from services.mcp_gateway.domain.pins import PinEvent, Pins
from services.mcp_gateway.domain.screening import Finding
from services.mcp_gateway.domain.server import ServerDefinition
from shared.db.pool import TenantPool, open_pool
from shared.errors import Conflict, NotFound
from shared.ids import derived_id
from shared.scope import TenantScope
from tests.conftest import Backbone
from tests.unit.gateway.pins_in_memory import PinsInMemory

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOW = dt.datetime(2026, 3, 2, 10, tzinfo=dt.UTC)
ADD, SUB = frozenset({"add"}), frozenset({"add", "sub"})
FOUND = [Finding("secrecy", "description", "Do not tell the user.")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pool(backbone: Backbone) -> AsyncIterator[TenantPool]:
    tenants = TenantPool(await open_pool(backbone.serving_dsn("mcp_gateway"), name="test"))
    yield tenants
    await tenants.close()


@pytest.fixture
def scope() -> TenantScope:
    return TenantScope(uuid4(), "user:ada")


@pytest_asyncio.fixture(loop_scope="session")
async def server(pool: TenantPool, scope: TenantScope) -> UUID:
    kept = await Registry(pool, [], lambda: None).register(scope, ServerDefinition("S", "s", "stdio", command="x"))
    return kept.server.id


@pytest.fixture(params=["postgres", "memory"])
def store(request: pytest.FixtureRequest, pool: TenantPool) -> PinStore:
    return PostgresPins(pool, lambda: None) if request.param == "postgres" else PinsInMemory()


def approved(server: UUID, name: str = "add", digest: str = "1", **more: Any) -> ToolApproved:
    definition = {"name": name, "description": "a\0b", "inputSchema": {"x": [1, 1.5, 2**60]}}
    return ToolApproved(server, name, digest, definition, "user:ada", NOW, **more)


def quarantined(server: UUID, name: str = "add", digest: str = "2") -> ToolQuarantined:
    return ToolQuarantined(server, name, digest, {"name": name}, "changed", NOW, "1", findings=FOUND)


def deciding(*events: PinEvent) -> Any:
    return lambda _: list(events)


async def test_what_was_changed_is_read(store: PinStore, scope: TenantScope, server: UUID) -> None:
    before = await store.read(scope, server)
    assert (before.tools, before.listed, before.registrant) == ({}, False, "user:ada")
    first = await store.change(scope, server, deciding(approved(server, findings=FOUND), approved(server, "sub")), SUB)
    assert await store.read(scope, server) == first.pins
    assert first.pins.tools["add"].approved is not None
    assert first.pins.tools["add"].approved.findings == tuple(FOUND)
    assert first.pins.tools["add"].approved.definition["description"] == "a\0b"
    second = await store.change(scope, server, deciding(quarantined(server)), ADD)
    assert await store.read(scope, server) == second.pins
    add, sub = second.pins.tools["add"], second.pins.tools["sub"]
    assert (add.status, add.reason, add.listed, sub.status, sub.listed) == (
        *("quarantined", "changed", True),
        *("approved", False),
    )
    released = ToolReleased(server, "add", "1", NOW)
    third = await store.change(scope, server, deciding(released))
    assert await store.read(scope, server) == third.pins
    assert (third.pins.tools["add"].status, third.pins.tools["add"].released_at) == ("approved", NOW)
    positions = [pinned.position or 0 for pinned in (first, second, third)]
    assert positions == sorted(set(positions))
    nothing = await store.change(scope, server, deciding())
    assert (nothing.events, nothing.pins) == ([], third.pins)


async def test_what_cannot_be_decided_changes_nothing(store: PinStore, scope: TenantScope, server: UUID) -> None:
    def refuse(_: Pins) -> Sequence[PinEvent]:
        raise Conflict("no")

    with pytest.raises(Conflict):
        await store.change(scope, server, refuse, ADD)
    assert not (await store.read(scope, server)).listed


async def test_a_list_of_no_tools_is_a_list(store: PinStore, scope: TenantScope, server: UUID) -> None:
    await store.change(scope, server, deciding(), frozenset())
    assert (await store.read(scope, server)).listed


async def test_the_first_listing_is_the_first_once(pool: TenantPool, scope: TenantScope, server: UUID) -> None:
    firsts: list[bool] = []

    def decide(pins: Pins) -> Sequence[PinEvent]:
        firsts.append(not pins.listed)
        return [] if "add" in pins.tools else [approved(server)]

    stores = [PostgresPins(pool, lambda: None) for _ in range(6)]
    await asyncio.gather(*(store.change(scope, server, decide, ADD) for store in stores))
    assert sorted(firsts) == [False] * 5 + [True]
    async with pool.connection(scope) as connection:
        rows = await connection.fetch(
            "SELECT version, type FROM events WHERE stream_id = $1", derived_id("mcp-pins", server)
        )
    assert [tuple(row) for row in rows] == [(1, "mcp.tool-approved.v1")]


async def test_pins_are_their_tenants_own_and_go_with_their_server(
    pool: TenantPool, scope: TenantScope, server: UUID
) -> None:
    store, stranger = PostgresPins(pool, lambda: None), TenantScope(uuid4(), "user:eve")
    await store.change(scope, server, deciding(approved(server)), ADD)
    with pytest.raises(NotFound):
        await store.read(stranger, server)
    with pytest.raises((NotFound, asyncpg.InsufficientPrivilegeError)):
        await store.change(stranger, server, deciding(quarantined(server)), ADD)
    assert (await store.read(scope, server)).tools["add"].status == "approved"
    registry = Registry(pool, [], lambda: None)
    await registry.remove(scope, await registry.read(scope, str(server)))
    for asked in (store.read(scope, server), store.change(scope, server, deciding(approved(server)), ADD)):
        with pytest.raises(NotFound):
            await asked
    async with pool.connection(scope) as connection:
        assert await connection.fetchval("SELECT count(*) FROM tool_pins") == 0


async def test_a_server_that_is_removed_meanwhile_is_not_found(
    pool: TenantPool, scope: TenantScope, server: UUID
) -> None:
    store = PostgresPins(pool, lambda: None)
    registry = Registry(pool, [], lambda: None)
    found = await registry.read(scope, str(server))
    changing = [store.change(scope, server, deciding(approved(server)), ADD) for _ in range(4)]
    _, *ended = await asyncio.gather(registry.remove(scope, found), *changing, return_exceptions=True)
    assert all(isinstance(end, NotFound) or not isinstance(end, BaseException) for end in ended), ended
