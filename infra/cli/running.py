"""The platform that runs on a data directory, as `up` and `demo` record it for the other commands."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from infra.cli.errors import NotOurs, NotRunning
from infra.local.claim import holder
from infra.local.nats_credentials import Credentials
from infra.local.nats_permissions import OPERATOR
from infra.local.options import Options
from infra.local.paths import DataDir
from infra.local.platform import Platform


class Running(msgspec.Struct, frozen=True):
    """Where it answers. `own_nats`: the NATS server is its own, and its operator's key lies in the data directory."""

    pid: int
    url: str
    nats_url: str
    own_nats: bool


def data_dir(environment: Mapping[str, str] = os.environ) -> Path:
    return Options.from_environment(environment).data_dir


def _record(folder: Path) -> Path:
    return DataDir(folder).run / "platform.json"


@contextmanager
def recorded(platform: Platform, folder: Path) -> Iterator[None]:
    """Leave word of a running platform in its data directory for as long as the block lasts."""
    file = _record(folder)
    running = Running(os.getpid(), platform.url, platform.nats_url, platform.operator_seed is not None)
    draft = file.with_suffix(".draft")
    draft.write_bytes(msgspec.json.encode(running))
    draft.replace(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def look(folder: Path) -> Running | None:
    """Return the platform that runs on `folder`, if any. What a killed one left behind does not count.

    Raises `NotOurs` for another user's folder.
    """
    try:
        running = msgspec.json.decode(_record(folder).read_bytes(), type=Running)
        held = holder(DataDir(folder).lock)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise NotOurs(f"{folder} is another user's: set AGENTIC_DATA_DIR to a folder of yours.") from error
    return None if held is None else running


def find(folder: Path) -> Running:
    """Return the platform that runs on `folder`, or raise `NotRunning`."""
    running = look(folder)
    if running is None:
        raise NotRunning(
            f"No platform runs on {folder.resolve()}. Start one with `agentic up`, or set AGENTIC_DATA_DIR to its "
            "folder, or AGENTIC_URL and AGENTIC_TOKEN for one elsewhere."
        )
    return running


def operator_seed(running: Running, folder: Path) -> str | None:
    """Return the nkey seed of its NATS operator; None for an external server, whose users are not ours."""
    return Credentials(DataDir(folder).credentials / "nats").seed(OPERATOR) if running.own_nats else None
