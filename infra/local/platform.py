"""The whole platform as one object: start it, look at it, kill a part of it, stop it."""

import asyncio
import time
from types import TracebackType
from typing import Self

from infra.local.claim import Claim
from infra.local.kept import Announce, Progress
from infra.local.nats_permissions import OPERATOR
from infra.local.options import Options
from infra.local.paths import DataDir
from infra.local.stack import Stack
from infra.provision import dsn


class NotStarted(RuntimeError):
    """The platform was asked for something that it has only while it runs."""


class Platform:
    """Postgres, NATS, the edge and the services on one machine, each started again whenever it ends.

    `async with Platform(options) as platform:` starts and stops it; inside `signals.until_signal()` a signal at any
    time ends it cleanly, also while it starts. Nothing that it started outlives the process, not even when that is
    killed.
    """

    def __init__(self, options: Options, announce: Announce = lambda _: None) -> None:
        self._options = options
        self._announce = announce
        self._place = DataDir(options.data_dir)
        self._claim = Claim(self._place.lock)
        self._running: Stack | None = None
        self._stopped = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._announce(Progress("platform", "stopping"))
        await self.stop()

    @property
    def url(self) -> str:
        """The address of the edge, such as `http://localhost:8000`."""
        return self._stack.edge.url

    @property
    def nats_url(self) -> str:
        return self._stack.bus.url

    @property
    def operator_seed(self) -> str | None:
        """The nkey seed of the NATS user with all rights (None for an external server)."""
        return self._stack.bus.seed(OPERATOR)

    @property
    def postgres_admin_dsn(self) -> str:
        """An administrator's connection string for the platform's database."""
        return dsn.in_database(self._stack.database.admin_dsn)

    def pids(self) -> dict[str, int]:
        """Return the pids of all parts that run now: `postgres`, `nats`, `edge`, `zygote` and the services."""
        return self._stack.parts.pids()

    def kill(self, name: str) -> None:
        """SIGKILL a part (it is started again); `KeyError` if there is none of that name."""
        self._stack.parts.kill(name)

    async def add_workflow_process(self) -> str:
        """Start one more process of the workflow service; return its name, as `pids` and `kill` have it."""
        return await self._stack.add_workflow_process()

    async def start(self) -> None:
        """Start everything and return when every service is ready; on an error nothing stays running."""
        began = time.monotonic()
        self._stopped.clear()
        self._place.create()
        self._claim.take()
        try:
            self._running = Stack(self._options, self._place, self._announce)
            await self._running.start()
        except asyncio.CancelledError:
            self._announce(Progress("platform", "stopping"))
            await self.stop()
            raise
        except BaseException:
            await self.stop()
            raise
        self._claim.say(self.url)
        self._announce(Progress("platform", "ready", seconds=time.monotonic() - began, detail=self.url))

    async def wait(self) -> None:
        """Return when the platform has been stopped; `signals.until_signal` around it stops it at a signal."""
        await self._stopped.wait()

    async def stop(self) -> None:
        """Drain and stop everything; doing it twice is harmless. Cancelled, it ends everything at once."""
        try:
            if self._running is not None:
                await self._running.stop()
        finally:
            self._running = None
            self._claim.release()
            self._stopped.set()

    @property
    def _stack(self) -> Stack:
        if self._running is None:
            raise NotStarted("The platform is not running.")
        return self._running
