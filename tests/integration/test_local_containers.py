"""What is prepared for containers, on a server of its own: whole, private, and the same when it is done again."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest_asyncio

from infra.containers.prepare import prepare
from infra.local import daemon
from infra.local.backbone import Database
from infra.local.keys import secret_key
from infra.local.parts import Parts
from infra.local.paths import DataDir
from shared.settings import SERVICES
from tests.conftest import reachable_folder

NATS_URL = "nats://nats.test:4222"


@pytest_asyncio.fixture
async def admin_dsn() -> AsyncIterator[str]:
    folder = reachable_folder()
    place = DataDir(folder / "data")
    place.create()
    parts = Parts(place, lambda _: None)
    database = Database(place, secret_key(place.secret_key), None, lambda _: None)
    try:
        await database.start(parts, ())
        yield database.admin_dsn
    finally:
        await parts.stop()
        shutil.rmtree(folder)


def files(keys: Path) -> dict[str, str]:
    return {str(file.relative_to(keys)): file.read_text() for file in sorted(keys.rglob("*")) if file.is_file()}


async def test_each_container_finds_what_it_needs_and_nothing_of_the_others(admin_dsn: str, tmp_path: Path) -> None:
    for name in ("operator", "nats", *SERVICES):
        (tmp_path / name).mkdir()
    await asyncio.to_thread(prepare, tmp_path, admin_dsn, NATS_URL)
    made = files(tmp_path)
    await asyncio.to_thread(prepare, tmp_path, admin_dsn, NATS_URL)
    assert files(tmp_path) == made
    assert {file.stat().st_mode & 0o077 for file in tmp_path.rglob("*") if file.is_file()} == {0}

    environments = {name: json.loads(made[f"{name}/environment.json"]) for name in SERVICES}
    for environment in environments.values():
        for variable in ("AGENTIC_POSTGRES_DSN", "AGENTIC_POSTGRES_WORKER_DSN"):
            await (await asyncpg.connect(environment[variable])).close()
        assert environment["AGENTIC_NATS_URL"] == NATS_URL
    assert len({environment["AGENTIC_NATS_SEED"] for environment in environments.values()}) == len(SERVICES)
    assert [name for name, each in environments.items() if any("TENANT" in variable for variable in each)] == ["tenant"]

    # No container's folder holds the secret that everything follows from, or another's seed.
    everywhere = {name: text for name, text in made.items() if not name.startswith("operator/")}
    assert not [name for name, text in everywhere.items() if made["operator/secret.key"].strip() in text]
    for name, environment in environments.items():
        holders = [file for file, text in everywhere.items() if environment["AGENTIC_NATS_SEED"] in text]
        assert holders == [f"{name}/environment.json"]


async def test_the_bus_s_configuration_is_one_that_its_server_takes(admin_dsn: str, tmp_path: Path) -> None:
    for name in ("operator", "nats", *SERVICES):
        (tmp_path / name).mkdir()
    await asyncio.to_thread(prepare, tmp_path, admin_dsn, NATS_URL)
    file = tmp_path / "nats" / "nats.conf"
    server_takes = await asyncio.create_subprocess_exec(
        daemon.script("nats-server"), "--config", str(file), "-t", stderr=asyncio.subprocess.PIPE
    )
    _, said = await server_takes.communicate()
    assert server_takes.returncode == 0, said
    server = json.loads(file.read_text())
    assert (server["host"], server["http"]) == ("0.0.0.0", "127.0.0.1:8222")
    assert server["authorization"]["auth_callout"]["auth_users"]
