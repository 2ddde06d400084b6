"""Keep one process running: start it, wait until it answers, start it again whenever it ends, stop it in the end."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from infra.local.errors import StartFailed
from infra.local.limits import (
    ABORT_TIMEOUT,
    DRAIN_TIMEOUT,
    LOG_TAIL_BYTES,
    READY_TIMEOUT,
    RESTART_DELAY_FIRST,
    RESTART_DELAY_MAX,
    RESTART_STEADY_AFTER,
    UNSERVED_DRAIN_TIMEOUT,
)
from shared.errors import PlatformError


class Running(Protocol):
    """A process that was started. `wait` returns its exit code, or minus the signal that ended it."""

    @property
    def pid(self) -> int: ...
    async def wait(self) -> int: ...


class Progress(msgspec.Struct, frozen=True):
    """Something that the person at the terminal may want to know. `seconds` is how long a start took."""

    name: str
    state: Literal["starting", "ready", "ended", "stopping", "stopped", "note"]
    seconds: float | None = None
    detail: str = ""


Announce = Callable[[Progress], None]


class Part(msgspec.Struct, frozen=True):
    """What to keep running: how it is started, how one sees that it answers, how it is asked to end.

    `stop_signal` lets it finish what it is at; `abort_signal` ends it at once.
    """

    name: str
    spawn: Callable[[], Awaitable[Running]]
    ready: Callable[[], Awaitable[None]]
    log: Path
    pid_file: Path
    stop_signal: signal.Signals = signal.SIGTERM
    abort_signal: signal.Signals = signal.SIGKILL
    drain_seconds: float = DRAIN_TIMEOUT


class Kept:
    """One part and the task that keeps it."""

    def __init__(self, part: Part, announce: Announce) -> None:
        self.part = part
        self._announce = announce
        self._running: Running | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._running.pid if self._running else None

    async def start(self) -> None:
        """Start and wait until it answers; `StartFailed` if it ends before, or does not answer in time."""
        try:
            await self._start_once()
        except BaseException:
            await self._stop(UNSERVED_DRAIN_TIMEOUT)
            raise
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.part.name}")

    async def stop(self) -> None:
        """Ask it to end, wait for it to drain, and end it if it does not. Cancelled, it ends it at once."""
        await self._stop(self.part.drain_seconds)

    async def _stop(self, patience: float) -> None:
        try:
            if self._keeper is not None:
                self._keeper.cancel()
                await asyncio.gather(self._keeper, return_exceptions=True)
                self._keeper = None
            if self._running is not None:
                self.signal(self.part.stop_signal)
                await asyncio.wait_for(asyncio.shield(self._running.wait()), patience)
        except (TimeoutError, asyncio.CancelledError) as ended:
            await self.abort()
            if isinstance(ended, asyncio.CancelledError):
                raise
        self._stopped()

    async def abort(self) -> None:
        """End it at once."""
        if self._keeper is not None:
            self._keeper.cancel()
        if self._running is None:
            return
        self.signal(self.part.abort_signal)
        try:
            await asyncio.wait_for(asyncio.shield(self._running.wait()), ABORT_TIMEOUT)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self._running.wait()
        self._stopped()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal if it runs."""
        if self._running is not None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended: what the signal was meant to bring about
                os.kill(self._running.pid, number)

    async def _start_once(self) -> None:
        began = time.monotonic()
        self._announce(Progress(self.part.name, "starting"))
        logged = self.part.log.stat().st_size if self.part.log.exists() else 0
        self._running = await self.part.spawn()
        self.part.pid_file.write_text(f"{self._running.pid}\n")
        answers = asyncio.ensure_future(self.part.ready())
        ends = asyncio.ensure_future(self._running.wait())
        try:
            await asyncio.wait((answers, ends), timeout=READY_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
            if answers.done():
                answers.result()
            elif ends.done():
                what = f"{self.part.name} ended with {ends.result()} while starting"
                raise StartFailed(f"{what}. {self._said_since(logged)}")
            else:
                what = f"{self.part.name} did not answer in {READY_TIMEOUT:.0f} s"
                raise StartFailed(f"{what}. {self._said_since(logged)}")
        finally:
            for task in (answers, ends):
                task.cancel()
            await asyncio.gather(answers, ends, return_exceptions=True)
        self._announce(Progress(self.part.name, "ready", seconds=time.monotonic() - began))

    async def _keep(self) -> None:
        delay = RESTART_DELAY_FIRST
        while True:
            began = time.monotonic()
            if self._running is not None:
                code = await self._running.wait()
                self._forget()
                self._announce(Progress(self.part.name, "ended", detail=f"exit code {code}"))
            if time.monotonic() - began > RESTART_STEADY_AFTER:
                delay = RESTART_DELAY_FIRST
            await asyncio.sleep(delay)
            delay = min(delay * 2, RESTART_DELAY_MAX)
            try:
                await self._start_once()
            except (PlatformError, OSError) as error:
                self._announce(Progress(self.part.name, "ended", detail=str(error)))
                await self._clear_away()

    async def _clear_away(self) -> None:
        if self._running is not None:
            self.signal(signal.SIGKILL)
            await self._running.wait()
            self._forget()

    def _stopped(self) -> None:
        if self._running is not None:
            self._forget()
            self._announce(Progress(self.part.name, "stopped"))

    def _forget(self) -> None:
        self._running = None
        self.part.pid_file.unlink(missing_ok=True)

    def _said_since(self, offset: int) -> str:
        """Return the end of what it has logged from there on: what earlier ones wrote only misleads."""
        try:
            text = self.part.log.read_bytes()[offset:][-LOG_TAIL_BYTES:].decode(errors="replace").rstrip()
        except FileNotFoundError:
            text = ""
        return f"The end of {self.part.log}:\n{text}" if text else f"It wrote nothing to {self.part.log}."
