"""A platform that serves, as who measures it sees it: where its parts are, what they cost, what they have recorded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec

from bench.processes import cpu_seconds, own_cpu_seconds
from shared.db.queries import load_queries

_SETTLE_S = 120.0
_LOOK_S = 0.2
_sql = load_queries(Path(__file__).with_name("recorded.sql"))


class NotRecorded(Exception):
    """Calls were answered and are not all on disk, or not all told to others."""


class Served(msgspec.Struct, frozen=True):
    """Addresses are `host:port` or paths of unix sockets."""

    socket: str
    edge_address: str
    nats_address: str
    operator_seed: str
    admin_dsn: str
    key: str
    tenant_id: str
    pids: dict[str, int]

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds so far of each part. `servers` are the MCP servers that the gateway started."""
        whole = cpu_seconds(self.pids)
        gateway = own_cpu_seconds(self.pids["mcp_gateway"])
        servers = whole.pop("mcp_gateway") - gateway
        del whole["driver"]
        return {"gateway": gateway, "servers": servers, **whole}


class Records:
    """What a platform's gateway has recorded. `answered` counts the calls that must be found there."""

    def __init__(self, admin: asyncpg.Connection) -> None:
        self._admin = admin
        self.answered = 0

    async def settled(self, calls: int) -> None:
        """Return when so many more calls are on disk and the facts of them with others. Raises `NotRecorded`."""
        self.answered += calls
        try:
            async with asyncio.timeout(_SETTLE_S):
                while not await self._admin.fetchval(_sql.settled, self.answered):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError as error:
            raise NotRecorded(f"{self.answered} calls were answered; on disk: {await self._seen()}") from error

    async def check(self) -> None:
        """Raise `NotRecorded` unless each call has both events and its row, was counted, and nothing else is there."""
        seen = await self._seen()
        if {*seen.values()} != {self.answered}:
            raise NotRecorded(f"{self.answered} calls were answered; on disk: {seen}")

    async def _seen(self) -> dict[str, int]:
        return dict(await self._admin.fetchrow(_sql.seen))


@asynccontextmanager
async def records_of(served: Served) -> AsyncIterator[Records]:
    """Look into a platform's database."""
    admin = await asyncpg.connect(served.admin_dsn)
    try:
        yield Records(admin)
    finally:
        await admin.close()
