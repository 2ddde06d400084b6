"""Looks after the servers that run: a sign of life now and then, without keeping anything alive for it."""

import asyncio
import logging
from typing import Protocol

from services.mcp_gateway.app.sightings import Sightings
from services.mcp_gateway.domain.server import Server
from services.mcp_gateway.limits import HEALTH_CHECK_INTERVAL_SECONDS, HEALTH_CHECKS_AT_ONCE
from shared.scope import TenantScope

_log = logging.getLogger(__name__)


class Resting(Protocol):
    """The servers that run."""

    def resting(self) -> list[Server]:
        """Return the servers whose sessions live and carry no call: calls are signs of life themselves."""
        ...


class HealthChecks:
    """Asks each running server that has nothing to do."""

    def __init__(self, running: Resting, sightings: Sightings) -> None:
        self._running = running
        self._sightings = sightings

    async def run(self, interval: float = HEALTH_CHECK_INTERVAL_SECONDS) -> None:
        """Check until cancelled."""
        while True:
            await asyncio.sleep(interval)
            await self.check_all()

    async def check_all(self) -> None:
        """Check each once. One that cannot be checked, or whose health cannot be kept, hinders no other."""
        turns = asyncio.Semaphore(HEALTH_CHECKS_AT_ONCE)

        async def check(server: Server) -> None:
            async with turns:
                try:
                    await self._sightings.probe(TenantScope(server.tenant_id, "service:mcp_gateway"), server)
                except Exception as error:  # noqa: BLE001 - the next round looks again
                    _log.warning("the health of the server %s could not be checked: %r", server.id, error)

        await asyncio.gather(*(check(server) for server in self._running.resting()))
