"""The supervisor's side of the zygote: start it, have it fork services, hear of their ends."""

import asyncio
import json
import socket
import sys
from pathlib import Path

import msgspec

from infra.local.errors import StartFailed
from infra.local.limits import CONTROL_LINE_BYTES
from infra.local.zygote import Fork, Forked, Loaded, Preload, Report

_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from infra.local.zygote import main; main()"
_KILLED = -9


class Forkling:
    """A forked service."""

    def __init__(self, pid: int, ended: asyncio.Future[int]) -> None:
        self.pid = pid
        self._ended = ended

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)


class Zygote:
    """One zygote after another: when one dies its services die with it, and the next one forks them again."""

    def __init__(self, modules: list[str], log: Path, folder: Path) -> None:
        self._modules = modules
        self._log = log
        self._folder = folder
        self._writer: asyncio.StreamWriter | None = None
        self._listener: asyncio.Task[None] | None = None
        self._loaded = asyncio.Event()
        self._births: dict[str, asyncio.Future[Forkling]] = {}
        self._deaths: dict[int, asyncio.Future[int]] = {}

    async def spawn(self) -> asyncio.subprocess.Process:
        """Start the process and have it import; `ready` says when it has."""
        await self.close()
        ours, theirs = socket.socketpair()
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=CONTROL_LINE_BYTES)
        self._listener = asyncio.create_task(self._listen(reader), name="zygote reports")
        self._order(Preload(self._modules))
        # Started last: if this is cancelled, there is no process that nobody waits for.
        with theirs, self._log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                _BOOT,
                json.dumps([entry or str(Path.cwd()) for entry in sys.path]),
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                cwd=self._folder,
                start_new_session=True,
            )

    async def ready(self) -> None:
        await self._loaded.wait()

    async def fork(self, order: Fork) -> Forkling:
        """Fork a service, when there is a zygote that can; `StartFailed` if it dies before it has."""
        await self._loaded.wait()
        birth: asyncio.Future[Forkling] = asyncio.get_running_loop().create_future()
        self._births[order.name] = birth
        self._order(order)
        return await birth

    async def close(self) -> None:
        """Close the socket: the zygote and all that it forked end."""
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
            self._listener = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _order(self, order: Preload | Fork) -> None:
        if self._writer is None:
            raise StartFailed("The zygote is not running.")
        self._writer.write(msgspec.json.encode(order) + b"\n")

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        decoder = msgspec.json.Decoder(Report)
        try:
            while line := await _line(reader):
                report = decoder.decode(line)
                if isinstance(report, Loaded):
                    self._loaded.set()
                elif isinstance(report, Forked):
                    death = self._deaths[report.pid] = asyncio.get_running_loop().create_future()
                    if not (birth := self._births.pop(report.name)).done():
                        birth.set_result(Forkling(report.pid, death))
                else:
                    self._deaths.pop(report.pid).set_result(report.code)
        finally:
            # PR_SET_PDEATHSIG ends the children of a dead zygote; nobody is left to report it.
            self._loaded.clear()
            for birth in self._births.values():
                if not birth.done():
                    birth.set_exception(StartFailed("The zygote ended before it had forked the service."))
            for death in self._deaths.values():
                if not death.done():
                    death.set_result(_KILLED)
            self._births.clear()
            self._deaths.clear()


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ConnectionResetError:  # how the end of a killed peer can look
        return b""
