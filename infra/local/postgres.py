"""The embedded Postgres: a cluster made once, a server on 127.0.0.1 and a unix socket, passwords everywhere."""

import asyncio
import os
import shutil
import signal
from pathlib import Path
from urllib.parse import quote

from infra.local import daemon
from infra.local.cluster import Cluster, private_folder
from infra.local.errors import AlreadyRunning, StartFailed
from infra.local.limits import LOG_TAIL_BYTES, PREVIOUS_OWNER_TIMEOUT, READY_POLL
from infra.local.ports import LOOPBACK

ADMIN = "agentic_admin"
_READY_LINE = 7
_INITDB = (
    f"--username={ADMIN}",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    # The same order and the same letters on every machine, whatever its C library knows.
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    # A crash of the machine in the first second loses nothing that anyone has written.
    "--no-sync",
    "--no-instructions",
)
_SETTINGS = Path(__file__).with_name("postgresql.conf")
_ACCESS = Path(__file__).with_name("pg_hba.conf")


class Postgres:
    """One server. `sockets` is a folder whose path is short enough for a socket; `password` is the admin's."""

    def __init__(self, cluster: Cluster, *, sockets: Path, port: int, password: str, log: Path) -> None:
        self._cluster = cluster
        self._sockets = sockets
        self._password = password
        self._log = log
        self.port = port

    @property
    def admin_dsn(self) -> str:
        # The server has no TLS: saying so saves a round trip, and a look for client certificates in the home folder.
        return f"postgresql://{ADMIN}:{quote(self._password, safe='')}@{LOOPBACK}:{self.port}/postgres?sslmode=disable"

    @property
    def socket_host(self) -> str:
        """The `host` that makes a client use the unix socket."""
        return str(self._sockets)

    async def spawn(self) -> asyncio.subprocess.Process:
        """Make the cluster if there is none, clear what a crash left, start the server."""
        await self._previous_owner_gone()
        if not self._cluster.data.exists():
            await self._initialise()
        self._write(
            "postgresql.conf",
            f"{_SETTINGS.read_text()}\nport = {self.port}\nunix_socket_directories = '{self._sockets}'\n",
        )
        self._write("pg_hba.conf", _ACCESS.read_text())
        # SIGINT is a fast shutdown: if we are killed, Postgres still ends cleanly and needs no recovery.
        return await self._run("postgres", "-D", str(self._cluster.data), death_signal=signal.SIGINT)

    async def ready(self) -> None:
        """Wait until the postmaster says in its pid file, as it does for pg_ctl, that it accepts connections."""
        file = self._cluster.data / "postmaster.pid"
        while True:
            if (lines := _lines(file)) and len(lines) > _READY_LINE and lines[_READY_LINE].strip() == "ready":
                return
            await asyncio.sleep(READY_POLL)

    async def _initialise(self) -> None:
        """Make the cluster beside its place and move it there: an interrupted initdb leaves nothing to start from."""
        draft = self._cluster.data.with_name("data.draft")
        password = self._cluster.data.with_name("initial-password")
        if draft.exists():
            shutil.rmtree(draft)
        private_folder(draft, self._cluster.account)
        self._write_private(password, self._password)
        try:
            process = await self._run("initdb", "--pgdata", str(draft), "--pwfile", str(password), *_INITDB)
            try:
                code = await process.wait()
            finally:
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    await process.wait()
        finally:
            password.unlink()
        if code != 0:
            tail = self._log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
            raise StartFailed(f"initdb ended with {code}.\n{tail}")
        draft.rename(self._cluster.data)

    async def _previous_owner_gone(self) -> None:
        """Wait for a server that a killed supervisor left shutting down.

        A stale pid file is Postgres's own business (it also looks for leftover backends), except that it would
        refuse to start if the number in it now belongs to some other living process: then the file goes.
        """
        file = self._cluster.data / "postmaster.pid"
        deadline = asyncio.get_running_loop().time() + PREVIOUS_OWNER_TIMEOUT
        while (lines := _lines(file)) and (process := Path("/proc", lines[0])).exists():
            if not self._serves(process):
                file.unlink(missing_ok=True)
                return
            if asyncio.get_running_loop().time() > deadline:
                raise AlreadyRunning(f"A Postgres (pid {process.name}) still runs on {self._cluster.data}.")
            await asyncio.sleep(READY_POLL)

    def _serves(self, process: Path) -> bool:
        try:
            return (process / "cwd").readlink() == self._cluster.data
        except OSError:  # gone since, or somebody else's
            return False

    async def _run(
        self, name: str, *arguments: str, death_signal: signal.Signals = signal.SIGKILL
    ) -> asyncio.subprocess.Process:
        return await daemon.spawn(
            daemon.Program(
                argv=(str(self._cluster.binaries / name), *arguments),
                environment={"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath},
                log=self._log,
                folder=self._cluster.data.parent,
                account=self._cluster.account,
                death_signal=death_signal,
            )
        )

    def _write(self, name: str, text: str) -> None:
        self._write_private(self._cluster.data / name, text)

    def _write_private(self, file: Path, text: str) -> None:
        draft = file.with_name(f".{file.name}.draft")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
            handle.write(text)
        if self._cluster.account is not None:
            os.chown(draft, self._cluster.account.uid, self._cluster.account.gid)
        draft.replace(file)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except FileNotFoundError:
        return []
