"""Where the local platform keeps what."""

import os
import re
import stat
import tempfile
from pathlib import Path

from infra.local.accounts import Account
from infra.local.errors import BadEnvironment
from infra.local.limits import LOG_ROTATE_BYTES, SOCKET_PATH_BYTES

_PRIVATE = 0o700
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./@%+-]+")


class DataDir:
    """The layout below `AGENTIC_DATA_DIR`.

    `nats/` JetStream's files, `postgres/` the cluster (unless its account cannot reach it: `cluster.py`),
    `run/` sockets and pid files, `logs/`, `edge/`, `credentials/` and `secret.key`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.nats = self.root / "nats"
        self.postgres = self.root / "postgres"
        self.run = self.root / "run"
        self.logs = self.root / "logs"
        self.edge = self.root / "edge"
        self.credentials = self.root / "credentials"
        self.secret_key = self.root / "secret.key"
        self.lock = self.run / "supervisor.lock"

    def create(self) -> None:
        """Make the folders. Root's must be traversable, since its Postgres runs as someone else."""
        self.root.mkdir(parents=True, exist_ok=True)
        if (owner := self.root.stat().st_uid) != os.geteuid():
            raise BadEnvironment(
                f"{self.root} belongs to user {owner} and this is user {os.geteuid()}: a data directory is used by "
                "one user only. Set AGENTIC_DATA_DIR to another folder."
            )
        self.root.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for private in (self.nats, self.run, self.logs, self.edge, self.credentials):
            private.mkdir(mode=0o700, exist_ok=True)

    def pid_file(self, name: str) -> Path:
        return self.run / f"{name}.pid"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def rotate_log(self, name: str) -> None:
        """Put a log that has grown large aside; one old log is kept."""
        log = self.log(name)
        if log.exists() and log.stat().st_size > LOG_ROTATE_BYTES:
            log.replace(log.with_suffix(".log.1"))


def socket_folder(preferred: Path, longest_name: str, record: Path, account: Account | None) -> Path:
    """Return a private folder whose sockets have paths that the kernel and configuration files accept.

    That is `preferred` if its path is short and plain; else a folder made in the temporary directory, remembered in
    the file `record` and used again as long as it is still private. `account` owns it, if not this process's user.
    """
    owner = account.uid if account else os.geteuid()
    if len(os.fsencode(preferred / longest_name)) <= SOCKET_PATH_BYTES and _PLAIN_PATH.fullmatch(str(preferred)):
        return preferred
    if record.exists() and _is_private(known := Path(record.read_text()), owner):
        return known
    folder = Path(tempfile.mkdtemp(prefix="agentic-"))
    if account is not None:
        os.chown(folder, account.uid, account.gid)
    record.write_text(str(folder))
    return folder


def _is_private(folder: Path, owner: int) -> bool:
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == owner and stat.S_IMODE(found.st_mode) == _PRIVATE
