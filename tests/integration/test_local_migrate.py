"""Logins, schemas and migrations on a real server: from nothing, again, at once, and when one fails."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from infra import services
from infra.local.backbone import Database
from infra.local.kept import Progress
from infra.local.keys import secret_key
from infra.local.parts import Parts
from infra.local.paths import DataDir
from infra.migrate import MigrationFailed, migrate
from infra.provision import dsn
from tests.conftest import Backbone, reachable_folder

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES = ("alpha", "beta")
FIRST = """-- migrate:up
create table things (id int primary key, owner text not null default current_user);
grant select, insert on things to agentic_{0}, agentic_{0}_worker;
-- migrate:down
drop table things;
"""


class Server:
    """A server that was never migrated, and the folder that stands for the services' migrations."""

    def __init__(self, admin_dsn: str, key: bytes, folder: Path) -> None:
        self.admin_dsn = admin_dsn
        self.key = key
        self.folder = folder

    async def ask(self, query: str, login: str | None = None) -> object:
        where = dsn.for_login(self.admin_dsn, self.key, login) if login else dsn.in_database(self.admin_dsn)
        connection = await asyncpg.connect(where)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    async def migrate(self) -> bool:
        return await migrate(self.admin_dsn, self.key, NAMES)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[tuple[str, bytes]]:
    folder = reachable_folder()
    place = DataDir(folder / "data")
    place.create()

    def ignore(_: Progress) -> None:
        """Nobody watches."""

    parts = Parts(place, ignore)
    key = secret_key(place.secret_key)
    database = Database(place, key, None, ignore)
    try:
        await database.start(parts, ())
        connection = await asyncpg.connect(database.admin_dsn)
        await connection.execute("drop database agentic")
        await connection.close()
        yield database.admin_dsn, key
    finally:
        await parts.stop()
        shutil.rmtree(folder)


@pytest_asyncio.fixture(loop_scope="module")
async def server(cluster: tuple[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    for name in NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "20260101000001_pre_first.sql").write_text(FIRST.format(name))
    monkeypatch.setattr(services, "migrations", lambda name: tmp_path / name)
    admin_dsn, key = cluster
    yield Server(admin_dsn, key, tmp_path)
    connection = await asyncpg.connect(admin_dsn)
    await connection.execute("drop database if exists agentic")
    await connection.close()


async def test_everything_is_made_once(server: Server) -> None:
    assert await server.migrate() is True
    assert await server.migrate() is False
    for name in NAMES:
        assert await server.ask(f"select count(*) from {name}.schema_migrations") == 1
        assert await server.ask(
            f"select tableowner from pg_tables where schemaname = '{name}' and tablename = 'things'"
        ) == (dsn.MIGRATOR)


async def test_nothing_to_do_costs_little(server: Server) -> None:
    await server.migrate()
    times = []
    for _ in range(5):
        began = time.perf_counter()
        await server.migrate()
        times.append(time.perf_counter() - began)
    assert min(times) < 0.05


@pytest.mark.parametrize("login", [dsn.serving("alpha"), dsn.working("alpha")])
async def test_a_login_of_a_service_is_kept_to_its_schema(server: Server, login: str) -> None:
    await server.migrate()
    assert await server.ask("insert into things values (1) returning owner", login) == login
    assert (
        await server.ask(
            "select rolsuper or rolbypassrls or rolcreaterole or rolcreatedb from pg_roles "
            "where rolname = current_user",
            login,
        )
        is False
    )
    for forbidden in (
        "select count(*) from beta.things",
        "update things set owner = 'me'",
        "delete from things",
        "create table alpha.mine (id int)",
        "create table public.mine (id int)",
        "create schema mine",
        "set role agentic_migrator",
        "set role agentic_beta",
        "alter table things disable row level security",
        "select value from provisioning.fingerprint",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await server.ask(forbidden, login)


async def test_a_new_migration_is_applied_and_the_old_ones_are_not_again(server: Server) -> None:
    await server.migrate()
    (server.folder / "beta" / "20260102000000_pre_second.sql").write_text(
        "-- migrate:up\nalter table things add column extra int default 7;\n-- migrate:down\n"
    )
    assert await server.migrate() is True
    assert await server.ask("select array_agg(version::text) from beta.schema_migrations") == [
        "20260101000001",
        "20260102000000",
    ]
    assert await server.migrate() is False


async def test_a_migration_that_fails_says_why_and_is_tried_again(server: Server) -> None:
    file = server.folder / "beta" / "20260102000000_pre_second.sql"
    file.write_text("-- migrate:up\nalter table thinks add column extra int;\n-- migrate:down\n")
    with pytest.raises(MigrationFailed, match=r'(?s)beta failed.*"thinks" does not exist'):
        await server.migrate()
    file.write_text("-- migrate:up\nalter table things add column extra int;\n-- migrate:down\n")
    assert await server.migrate() is True


async def test_several_at_once_do_the_work_once(server: Server) -> None:
    done = await asyncio.gather(*(server.migrate() for _ in range(4)))
    assert sorted(done) == [False, False, False, True]


async def test_another_key_changes_the_passwords(server: Server) -> None:
    await server.migrate()
    new = bytes(32)
    assert await migrate(server.admin_dsn, new, NAMES) is True
    with pytest.raises(asyncpg.InvalidPasswordError):
        await server.ask("select 1", dsn.serving("alpha"))
    server.key = new
    assert await server.ask("select 1", dsn.serving("alpha")) == 1


async def test_a_login_that_may_bypass_row_level_security_is_refused(server: Server) -> None:
    await server.migrate()
    await server.ask("alter role agentic_alpha bypassrls")
    (server.folder / "alpha" / "20260103000000_pre_third.sql").write_text("-- migrate:up\nselect 1;\n-- migrate:down\n")
    try:
        with pytest.raises(asyncpg.RaiseError, match="agentic_alpha may bypass row level security"):
            await server.migrate()
    finally:
        await server.ask("alter role agentic_alpha nobypassrls")


async def test_the_services_own_migrations_apply(backbone: Backbone) -> None:
    connection = await asyncpg.connect(backbone.admin_dsn)
    schemas = {row["nspname"] for row in await connection.fetch("select nspname from pg_namespace")}
    await connection.close()
    assert {"platform", *services.with_migrations()} <= schemas
