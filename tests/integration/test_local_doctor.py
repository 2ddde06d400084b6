"""`agentic doctor` on servers that were named, and on what a platform leaves in its data directory."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.cli import outside
from infra.cli.checks import examine
from infra.cli.finding import Finding
from infra.local import daemon
from infra.local.claim import Claim, holder
from infra.local.errors import AlreadyRunning
from infra.local.paths import DataDir
from tests.conftest import Backbone

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def findings(data_dir: Path, **environment: str) -> dict[str, list[Finding]]:
    inherited = {"PATH": os.defpath, "AGENTIC_DATA_DIR": str(data_dir)}
    seen: dict[str, list[Finding]] = {}
    for finding in await asyncio.to_thread(lambda: list(examine({**inherited, **environment}))):
        seen.setdefault(finding.name, []).append(finding)
    return seen


def wrong(seen: dict[str, list[Finding]]) -> dict[str, Finding]:
    return {name: found for name, each in seen.items() for found in each if found.state == "wrong"}


@contextmanager
def nats_server(*arguments: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = (daemon.script("nats-server"), "--addr", "127.0.0.1", "--port", str(port), *arguments)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                except ConnectionRefusedError:
                    continue
                break
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


async def test_a_postgres_that_will_do(backbone: Backbone, data_dir: Path) -> None:
    seen = await findings(data_dir, AGENTIC_POSTGRES_DSN=backbone.admin_dsn)
    assert not wrong(seen)
    assert {"postgres", "pgvector"} <= seen.keys()
    assert "account" not in seen
    assert not any(backbone.admin_dsn in found.detail for each in seen.values() for found in each)


async def test_a_login_that_may_not_make_logins_is_wrong(backbone: Backbone, data_dir: Path) -> None:
    found = wrong(await findings(data_dir, AGENTIC_POSTGRES_DSN=backbone.serving_dsn("workflow")))
    assert "agentic_workflow may not create" in found["postgres"].detail
    assert "CREATEROLE" in found["postgres"].remedy


async def test_a_postgres_without_vectors_is_wrong(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def capabilities(_: str) -> dict[str, Any]:
        return {"version": "18.1", "login": "postgres", "administers": True, "vectors": False}

    monkeypatch.setattr(outside, "_capabilities", capabilities)
    found = wrong(await findings(data_dir, AGENTIC_POSTGRES_DSN="postgresql://postgres:secret@db.test/postgres"))
    assert found.keys() == {"pgvector"}
    assert "Install pgvector" in found["pgvector"].remedy


@pytest.mark.parametrize("dsn", ["postgresql://me:secret@127.0.0.1:1/x", "mysql://me:secret@h/x", "nonsense"])
async def test_a_postgres_that_does_not_answer_is_wrong(data_dir: Path, dsn: str) -> None:
    found = wrong(await findings(data_dir, AGENTIC_POSTGRES_DSN=dsn))
    assert found.keys() == {"postgres"}
    assert "AGENTIC_POSTGRES_DSN" in found["postgres"].remedy
    assert "secret" not in found["postgres"].detail


async def test_a_nats_server_that_will_do(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "nats.conf").write_text(f'max_payload: 4MB\njetstream {{store_dir: "{tmp_path}"}}\n')
    with nats_server("--config", str(tmp_path / "nats.conf")) as address:
        seen = await findings(data_dir, AGENTIC_NATS_URL=f"nats://{address}")
    assert {found.state for name in ("nats", "jetstream") for found in seen[name]} == {"ok"}
    assert "nats-server" not in seen


async def test_a_nats_server_without_jetstream_is_wrong(data_dir: Path) -> None:
    with nats_server() as address:
        seen = await findings(data_dir, AGENTIC_NATS_URL=f"nats://{address}")
    assert wrong(seen).keys() == {"jetstream"}
    assert "max_payload" in seen["nats"][1].remedy


async def test_a_nats_server_that_lets_us_not_in_is_wrong_and_no_password_is_shown(data_dir: Path) -> None:
    with nats_server("--user", "me", "--pass", "right") as address:
        found = wrong(await findings(data_dir, AGENTIC_NATS_URL=f"nats://me:secret@{address}"))["nats"]
    # The server says why and closes; a client that writes just then sees the connection reset instead.
    assert "Authorization" in found.detail or "reset" in found.detail
    assert "secret" not in found.detail


@pytest.mark.parametrize("url", ["nats://me:secret@127.0.0.1:1", "nats:///", "nats://there.is.no.such.host.invalid"])
async def test_a_nats_server_that_does_not_answer_is_wrong(data_dir: Path, url: str) -> None:
    found = wrong(await findings(data_dir, AGENTIC_NATS_URL=url))
    assert found.keys() == {"nats"}
    assert "AGENTIC_NATS_URL" in found["nats"].remedy


async def test_a_variable_that_no_service_knows_is_wrong(data_dir: Path) -> None:
    found = wrong(await findings(data_dir, AGENTIC_NATS_ULR="nats://127.0.0.1:4222"))
    assert "AGENTIC_NATS_URL" in found["environment"].remedy


async def test_what_a_killed_platform_left_is_noted(data_dir: Path) -> None:
    place = DataDir(data_dir)
    place.create()
    place.pid_file("nats").write_text("1\n")
    (place.run / "platform.json").write_text(
        f'{{"pid": {os.getpid()}, "url": "http://localhost:1", "nats_url": "nats://localhost:1", "own_nats": true}}'
    )
    place.lock.write_text(f"pid {os.getpid()} http://localhost:1\n")
    seen = await findings(data_dir)
    assert seen["leftovers"][0].state == "note"
    assert "none runs" in seen["platform"][0].detail  # although a process has that number


async def test_one_that_has_not_come_up_yet_is_noted(data_dir: Path) -> None:
    place = DataDir(data_dir)
    place.create()
    claim = Claim(place.lock)
    claim.take()
    try:
        assert holder(place.lock) == f"pid {os.getpid()}"
        assert f"pid {os.getpid()}" in (await findings(data_dir))["platform"][0].detail
        with pytest.raises(AlreadyRunning):
            Claim(place.lock).take()
    finally:
        claim.release()
    assert holder(place.lock) is None
