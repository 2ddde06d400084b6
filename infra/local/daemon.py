"""Start a program of somebody else's (Postgres, NATS, Caddy) so that it cannot outlive this process."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from infra.local import launch
from infra.local.accounts import Account


class Program(msgspec.Struct, frozen=True):
    """A command line, its whole environment, and whom it runs as (None: as this process).

    `death_signal` is what the kernel sends when this process ends without having stopped the program.
    """

    argv: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    folder: Path
    account: Account | None = None
    death_signal: signal.Signals = signal.SIGKILL


async def spawn(program: Program) -> asyncio.subprocess.Process:
    """Start it in a session of its own (a Ctrl-C in the terminal reaches only us), output appended to its log."""
    user, group = (program.account.uid, program.account.gid) if program.account else (-1, -1)
    shim = [
        sys.executable,
        "-IS",
        launch.__file__,
        str(os.getpid()),
        str(int(program.death_signal)),
        str(user),
        str(group),
    ]
    with program.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *shim,
            *program.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(program.environment),
            cwd=program.folder,
            start_new_session=True,
        )


def script(name: str) -> str:
    """Return the path of a program that a wheel put beside this interpreter."""
    return str(Path(sys.executable).parent / name)
