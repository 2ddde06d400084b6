"""All parts of a running platform by name."""

import signal
from collections.abc import Awaitable, Collection
from typing import Protocol

from infra.local.kept import Announce, Kept, Part, Running
from infra.local.paths import DataDir
from infra.local.together import together


class Source(Protocol):
    """Something that can be started, and that can be seen to answer."""

    def spawn(self) -> Awaitable[Running]: ...
    def ready(self) -> Awaitable[None]: ...


class Parts:
    """Keeps parts running. Their logs and pid files lie in the data directory under their names."""

    def __init__(self, place: DataDir, announce: Announce) -> None:
        self._place = place
        self._announce = announce
        self._kept: dict[str, Kept] = {}

    async def keep(
        self,
        name: str,
        source: Source,
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
        abort_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        """Start a part and keep it running until it is stopped."""
        self._place.rotate_log(name)
        part = Part(
            name=name,
            spawn=source.spawn,
            ready=source.ready,
            log=self._place.log(name),
            pid_file=self._place.pid_file(name),
            stop_signal=stop_signal,
            abort_signal=abort_signal,
        )
        self._kept[name] = kept = Kept(part, self._announce)
        await kept.start()

    def pids(self) -> dict[str, int]:
        return {name: kept.pid for name, kept in self._kept.items() if kept.pid is not None}

    def kill(self, name: str) -> None:
        """SIGKILL a part; `KeyError` if there is none of that name."""
        self._kept[name].signal(signal.SIGKILL)

    async def stop(self, *, but: Collection[str] = ()) -> None:
        """Stop all parts except those named `but`, at the same time. Cancelled, it ends them at once."""
        names = [name for name in self._kept if name not in but]
        await together(*(self._kept[name].stop() for name in names))
        for name in names:
            del self._kept[name]

    async def abort(self) -> None:
        """End at once what still runs."""
        await together(*(kept.abort() for kept in self._kept.values()))
