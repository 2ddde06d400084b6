"""A Postgres and a NATS server with the platform's schemas, logins and permissions."""

import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from infra import services
from infra.local.backbone import Bus, Database
from infra.local.kept import Progress
from infra.local.keys import secret_key
from infra.local.nats_permissions import OPERATOR
from infra.local.parts import Parts
from infra.local.paths import DataDir
from infra.provision import dsn


class Backbone:
    """A migrated Postgres and a NATS server with the platform's logins, users and permissions."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus
        self.admin_dsn = dsn.in_database(database.admin_dsn)
        self.nats_url = bus.url

    def serving_dsn(self, service: str) -> str:
        return self._database.login_dsn(dsn.serving(service))

    def working_dsn(self, service: str) -> str:
        return self._database.login_dsn(dsn.working(service))

    def migrator_dsn(self) -> str:
        return self._database.login_dsn(dsn.MIGRATOR)

    def nats_seed(self, user: str = OPERATOR) -> str:
        """Return the nkey seed of a service, or of the operator, who may do everything."""
        seed = self._bus.seed(user)
        assert seed is not None
        return seed

    def secrets_seed(self, service: str) -> str:
        """Return the seed that a service asks for secrets with."""
        seed = self._bus.secrets_seed(service)
        assert seed is not None
        return seed

    def secrets_readers(self) -> str:
        """Return the public keys of the services that may ask for secrets."""
        return self._bus.secrets_readers

    def issuer_seed(self) -> str:
        """Return the seed of the account that signs the users whom the authorisation callout lets in."""
        seed = self._bus.issuer_seed
        assert seed is not None
        return seed


def reachable_folder() -> Path:
    """Make a folder with a short path that the unprivileged Postgres of a test run by root can traverse to."""
    folder = Path(tempfile.mkdtemp(prefix="ap-", dir="/tmp"))
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    return folder


def remove(folder: Path) -> None:
    """Remove a folder once the servers that ran on it are gone: they end by themselves after their supervisor."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(
        str(folder) in word for process in psutil.process_iter(["cmdline"]) for word in process.info["cmdline"] or ()
    ):
        time.sleep(0.05)
    shutil.rmtree(folder)


@asynccontextmanager
async def serve_backbone() -> AsyncIterator[Backbone]:
    """Start both on ports and in a folder of their own, and stop them in the end."""
    folder = reachable_folder()
    place = DataDir(folder / "data")
    place.create()

    def ignore(_: Progress) -> None:
        """Nobody watches."""

    parts = Parts(place, ignore)
    database = Database(place, secret_key(place.secret_key), None, ignore)
    bus = Bus(place, None)
    try:
        await bus.start(parts)
        await database.start(parts, services.with_migrations())
        yield Backbone(database, bus)
    finally:
        await parts.stop()
        remove(folder)
