"""Stop asked for from outside."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from infra.local.limits import SIGNALS_APART, SIGNALS_HEEDED

_STOP = (signal.SIGINT, signal.SIGTERM)


@asynccontextmanager
async def until_signal() -> AsyncIterator[None]:
    """End the block, wherever it is, at SIGINT or SIGTERM: its clean-up runs, then what follows it.

    A second signal interrupts the clean-up too. Those after it change nothing: somebody who is in a hurry presses
    Ctrl-C many times, and what ends everything at once must not be interrupted.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("until_signal is used inside a task")
    asked = _Asked(task)
    asked.listen()
    try:
        yield
    except asyncio.CancelledError:
        if not asked.forgive():
            raise
    finally:
        asked.close()


class _Asked:
    """Turns signals into cancellations of a task."""

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._task = task
        self._loop = asyncio.get_running_loop()
        self._handles: list[asyncio.TimerHandle] = []
        self._cancelled = 0

    def listen(self) -> None:
        for number in _STOP:
            self._loop.add_signal_handler(number, self._on_signal)

    def forgive(self) -> bool:
        """Take our cancellations back; False if there was none."""
        for _ in range(self._cancelled):
            self._task.uncancel()
        return self._cancelled > 0

    def close(self) -> None:
        for handle in self._handles:
            handle.cancel()
        for number in _STOP:
            self._loop.remove_signal_handler(number)
            if self._handles:  # the process is on its way out: one more must not turn a clean end into a traceback
                signal.signal(number, signal.SIG_IGN)

    def _on_signal(self) -> None:
        if len(self._handles) < SIGNALS_HEEDED:
            # Two cancellations in one turn of the loop would be one to the task.
            self._handles.append(self._loop.call_later(len(self._handles) * SIGNALS_APART, self._cancel))

    def _cancel(self) -> None:
        self._cancelled += 1
        self._task.cancel()
