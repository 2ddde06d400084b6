"""Stop asked for from outside."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_STOP = (signal.SIGINT, signal.SIGTERM)


@asynccontextmanager
async def until_signal() -> AsyncIterator[None]:
    """End the block, wherever it is, at SIGINT or SIGTERM: its clean-up runs, then what follows it.

    A second signal interrupts the clean-up too.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("until_signal is used inside a task")
    loop = asyncio.get_running_loop()
    asked = 0

    def ask() -> None:
        nonlocal asked
        asked += 1
        task.cancel()

    for number in _STOP:
        loop.add_signal_handler(number, ask)
    try:
        yield
    except asyncio.CancelledError:
        if not asked:
            raise
        for _ in range(asked):
            task.uncancel()
    finally:
        for number in _STOP:
            loop.remove_signal_handler(number)
