"""A thousand servers come and go, most of them badly, and nothing of them stays: the pool over real processes."""

import asyncio
import gc
import os
import signal
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import psutil
import pytest

from services.mcp_gateway.adapters.mcp.launch import CommandAllowList, StdioLaunch
from services.mcp_gateway.adapters.mcp.opener import TransportOpener
from services.mcp_gateway.adapters.mcp.place import PoolBounds, SessionKey
from services.mcp_gateway.adapters.mcp.pool import PooledSession, SessionPool
from services.mcp_gateway.errors import ServerDied, ServerUnavailable

CYCLES = 1_000
WARM_UP = 60
AT_ONCE = 16
GROWTH_MAX_BYTES = 8 * 1024 * 1024  # 8 KiB a cycle; a session that stays holds some 200 KiB

# The cheapest server there is: a tool call answers with the process's id. What is said decides how it ends.
SERVER = """
answer() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\\n' "$1" "$2"; }
while read -r line; do
  id=${line#*'"id":'}
  id=${id%%,*}
  case $line in
    *'"initialize"'*) answer "$id" '{"protocolVersion":"2025-06-18","serverInfo":{"name":"sh","version":"1"}}';;
    *'"name":"pid"'*) answer "$id" '{"content":[{"type":"text","text":"'$$'"}]}';;
    *'"name":"die"'*) kill -9 $$;;
  esac
done
"""
GOOD = StdioLaunch("sh", ("-c", SERVER))
STILLBORN = StdioLaunch("sh", ("-c", "exit 3"))
LEAVES_A_CHILD = StdioLaunch("sh", ("-c", "sleep 600 & " + SERVER))


class Traces(msgspec.Struct):
    """What this process holds."""

    descriptors: int
    tasks: int
    threads: int
    children: int
    folders: int

    @classmethod
    def now(cls) -> "Traces":
        process = psutil.Process()
        return cls(
            process.num_fds(),
            len(asyncio.all_tasks()),
            sum(not thread.name.startswith("asyncio_") for thread in threading.enumerate()),  # but for the kept workers
            len(process.children(recursive=True)),
            len(list(Path(tempfile.gettempdir()).glob("mcp-server-*"))),
        )


class Cycles:
    """One server after the other, each of a tenant of its own."""

    def __init__(self, pool: SessionPool) -> None:
        self._pool = pool
        self.ended = 0

    async def run(self, number: int) -> None:
        """Go through one life. Half of the servers are killed, a tenth dies before it is ready."""
        ends: tuple[Callable[[SessionKey], object], ...] = (
            self._served_and_left,
            self._served_and_killed,
            self._served_and_evicted,
            self._killed_in_the_call,
            self._stillborn,
            self._served_and_killed,
            self._served_and_left,
            self._warden_killed,
            self._served_and_evicted,
            self._killed_with_a_child,
        )
        key = SessionKey(UUID(int=number + 1), uuid4(), 1)
        await ends[number % len(ends)](key)  # type: ignore[misc]
        self.ended += 1

    async def _pid(self, key: SessionKey, launch: StdioLaunch = GOOD) -> tuple[PooledSession, int]:
        session = await self._pool.session(key, launch)
        result = await session.call_tool("pid", {}, timeout=30)
        return session, int(result.content[0]["text"])

    async def _served_and_left(self, key: SessionKey) -> None:
        """The pool closes it when it has been idle."""
        await self._pid(key)

    async def _served_and_evicted(self, key: SessionKey) -> None:
        await self._pid(key)
        await self._pool.evict(key)

    async def _served_and_killed(self, key: SessionKey) -> None:
        _, pid = await self._pid(key)
        os.kill(pid, signal.SIGKILL)

    async def _killed_in_the_call(self, key: SessionKey) -> None:
        session, _ = await self._pid(key)
        with pytest.raises(ServerDied):
            await session.call_tool("die", {}, timeout=30)

    async def _warden_killed(self, key: SessionKey) -> None:
        _, pid = await self._pid(key)
        os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)

    async def _killed_with_a_child(self, key: SessionKey) -> None:
        _, pid = await self._pid(key, LEAVES_A_CHILD)
        os.kill(pid, signal.SIGKILL)

    async def _stillborn(self, key: SessionKey) -> None:
        with pytest.raises(ServerUnavailable):
            await self._pool.session(key, STILLBORN)


async def settled(pool: SessionPool) -> None:
    """Wait until the pool has nothing left that runs, and the last process was waited for."""
    process = psutil.Process()
    async with asyncio.timeout(60):
        while pool.states() or pool._closings or process.children():
            await asyncio.sleep(0.05)
        while len(asyncio.all_tasks()) > 2:  # this one and the pool's
            await asyncio.sleep(0.05)
    gc.collect()


def memory() -> int:
    return int(psutil.Process().memory_info().rss)


async def test_nothing_stays_of_a_thousand_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    bounds = PoolBounds(idle_s=1.0, reap_interval_s=0.05, restart_delay_s=0.01)
    numbers = iter(range(WARM_UP))
    async with SessionPool(TransportOpener(CommandAllowList(["sh"])), bounds) as pool:
        cycles = Cycles(pool)

        async def work() -> None:
            for number in numbers:
                await cycles.run(number)

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        await settled(pool)
        before, held = Traces.now(), memory()
        numbers = iter(range(WARM_UP, WARM_UP + CYCLES))
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        await settled(pool)
        assert cycles.ended == WARM_UP + CYCLES
        assert Traces.now() == before
        assert before.children == before.folders == 0
        assert memory() - held < GROWTH_MAX_BYTES
        assert "Unknown child process" not in caplog.text  # each exit status came to who waited for it
