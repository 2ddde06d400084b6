"""The registry on a real database: what registering twice means, and which positions writes have."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from msgspec import Raw

from services.mcp_gateway.adapters.configs import Configs
from services.mcp_gateway.adapters.registry import Registry
from services.mcp_gateway.adapters.views import Views
from services.mcp_gateway.app.health import Healths
from services.mcp_gateway.app.policy import Policies
from services.mcp_gateway.app.ports import KnownTool, ServerFacts
from services.mcp_gateway.app.reading import ServerFilter
from services.mcp_gateway.app.sightings import Sightings
from services.mcp_gateway.app.trust import VettedTool
from services.mcp_gateway.domain.server import Server, ServerDefinition
from services.mcp_gateway.errors import SlugTaken
from shared.db.pool import TenantPool, open_pool
from shared.errors import Conflict
from shared.scope import TenantScope
from tests.conftest import Backbone

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pool(backbone: Backbone) -> AsyncIterator[TenantPool]:
    tenants = TenantPool(await open_pool(backbone.serving_dsn("mcp_gateway"), name="test"))
    yield tenants
    await tenants.close()


@pytest.fixture
def registry(pool: TenantPool) -> Registry:
    return Registry(pool, [], lambda: None)


def described(slug: str, name: str = "S") -> ServerDefinition:
    return ServerDefinition(name, slug, "stdio", command="x")


async def events_of(pool: TenantPool, scope: TenantScope, stream: UUID) -> list[tuple[int, str]]:
    async with pool.connection(scope) as connection:
        rows = await connection.fetch("SELECT position, type FROM events WHERE stream_id = $1 ORDER BY version", stream)
    return [tuple(row) for row in rows]


async def test_an_id_that_the_tenant_has_already_is_the_same_server(registry: Registry, pool: TenantPool) -> None:
    scope, id_ = TenantScope(uuid4(), "tester"), uuid4()
    first = await registry.register(scope, described("one"), id_)
    assert await registry.register(scope, described("one"), id_) == first
    assert await registry.register(scope, described("other"), id_) == first
    assert await events_of(pool, scope, id_) == [(first.position, "mcp.server-registered.v1")]
    with pytest.raises(SlugTaken):
        await registry.register(scope, described("one"), uuid4())
    with pytest.raises(SlugTaken):
        await registry.register(scope, described("one"))


async def test_an_id_of_another_tenant_is_a_conflict(registry: Registry) -> None:
    id_ = uuid4()
    await registry.register(TenantScope(uuid4(), "tester"), described("one"), id_)
    with pytest.raises(Conflict):
        await registry.register(TenantScope(uuid4(), "tester"), described("one"), id_)


async def test_an_id_that_is_there_counts_for_nothing_more(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.mcp_gateway.adapters.registry.SERVERS_PER_TENANT_MAX", 1)
    scope, id_ = TenantScope(uuid4(), "tester"), uuid4()
    first = await registry.register(scope, described("one"), id_)
    assert await registry.register(scope, described("one"), id_) == first
    with pytest.raises(Conflict):
        await registry.register(scope, described("two"))


async def test_every_write_has_the_position_of_its_event(registry: Registry, pool: TenantPool) -> None:
    scope = TenantScope(uuid4(), "tester")
    made = await registry.register(scope, described("one"))
    changed = await registry.change(scope, made.server, described("one", "new"), "active")
    removed = await registry.remove(scope, changed.server)
    written = [position for position, _ in await events_of(pool, scope, made.server.id)]
    assert [made.position, changed.position, removed] == written


async def test_an_id_wins_over_a_slug_that_looks_like_it(registry: Registry) -> None:
    scope = TenantScope(uuid4(), "tester")
    one = (await registry.register(scope, described("one"))).server
    other = (await registry.register(scope, described(str(one.id)))).server
    assert (await registry.read(scope, str(one.id))).id == one.id
    assert (await registry.read(scope, str(other.id))).id == other.id


async def test_texts_of_a_server_are_kept_whatever_is_in_them(registry: Registry, pool: TenantPool) -> None:
    scope = TenantScope(uuid4(), "tester")
    server = (await registry.register(scope, described("one"))).server
    views = Views(pool)
    # As JSON the second is \\\\u0000: a backslash and five letters, and no NUL.
    texts = ["a\0b", "\\u0000", '"', "x" * 10_000]

    class Offering:
        async def tools(self, _: Server) -> dict[str, KnownTool]:
            return {
                f"t\0{number}": KnownTool.of({"name": f"t\0{number}", "description": text, "inputSchema": {}})
                for number, text in enumerate(texts)
            }

        async def about(self, _: Server) -> ServerFacts:
            return ServerFacts({"resources": {}})

        async def request(self, *_: object) -> Raw:
            return Raw(b'{"resources": [{"uri": "a\\u0000b"}, {"name": "none"}, 7]}')

    class Trusting:
        async def tools(self, _: TenantScope, server: Server) -> dict[str, VettedTool]:
            return {name: VettedTool(tool) for name, tool in (await Offering().tools(server)).items()}

    configs = Configs(pool, lambda: None)
    healths = Healths(lambda _: None)
    sightings = Sightings(Offering(), Offering(), Trusting(), views, Policies(configs), healths)  # type: ignore[arg-type]
    await sightings.discover(scope, server)
    ((row,), _) = await views.servers(scope, ServerFilter(id=server.id), 1)
    assert (row.resources, row.prompts) == (["ab"], [])
    assert [tool["description"] for tool in row.tools] == ["ab", "\\u0000", '"', "x" * 4_000]
    assert [tool["name"] for tool in row.tools] == ["t0", "t1", "t2", "t3"]
