"""A service as a kept part: its environment, its fork, and how one sees that it is ready."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from infra.local.forks import Forkling, Zygote
from infra.local.limits import HEALTH_TIMEOUT, READY_POLL
from infra.local.options import WORKFLOW_PROCESSES, ServiceProgram
from infra.local.zygote import Fork

_REQUEST = b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_PLATFORM_VARIABLES = ("AGENTIC_HTTP_PORT", "AGENTIC_HTTP_HOST", "AGENTIC_HTTP_SOCKET", WORKFLOW_PROCESSES)


def environment(
    inherited: Mapping[str, str], own: Mapping[str, str], *, name: str, others: tuple[str, ...]
) -> dict[str, str]:
    """Return a service's environment: what we inherited, less what is another's, and what the supervisor sets."""
    foreign = tuple(f"AGENTIC_{other.upper()}_" for other in others if other != name)
    kept = {
        key: value for key, value in inherited.items() if key not in _PLATFORM_VARIABLES and not key.startswith(foreign)
    }
    return {**kept, **own}


class Service:
    """One service on one unix socket."""

    def __init__(
        self, program: ServiceProgram, zygote: Zygote, *, name: str, socket: Path, variables: dict[str, str], log: Path
    ) -> None:
        self._program = program
        self._name = name
        self._zygote = zygote
        self._socket = socket
        self._variables = variables
        self._log = log

    async def spawn(self) -> Forkling:
        self._socket.unlink(missing_ok=True)
        return await self._zygote.fork(Fork(self._name, self._program.module, self._variables, str(self._log)))

    async def ready(self) -> None:
        """Wait until `GET /health/ready` answers 200."""
        while True:
            try:
                async with asyncio.timeout(HEALTH_TIMEOUT):
                    if await _answers(self._socket):
                        return
            except (OSError, TimeoutError):
                await asyncio.sleep(READY_POLL)
                continue
            await asyncio.sleep(READY_POLL * 5)


async def _answers(socket: Path) -> bool:
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        writer.write(_REQUEST)
        return (await reader.readline()).split(b" ")[1:2] == [b"200"]
    finally:
        writer.close()
