"""Who leads waits for a database that is away, however it says so."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg
import pytest

from shared.db.outages import DATABASE_AWAY
from shared.tail import leader


@pytest.mark.parametrize("away", DATABASE_AWAY)
async def test_an_outage_is_waited_out(away: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader, "LEADER_RETRY_S", 0.001)
    led = asyncio.Event()

    class Connection:
        """Has the lock."""

        async def fetchval(self, *_: Any) -> bool:
            return True

        execute = fetchval

        def is_closed(self) -> bool:
            return False

        def add_termination_listener(self, _: Any) -> None:
            pass

    class Pool:
        """Lends no connection the first time."""

        asked = 0

        @asynccontextmanager
        async def acquire(self) -> Any:
            self.asked += 1
            if self.asked == 1:
                raise away("the server is gone")
            yield Connection()

    async def work() -> None:
        led.set()

    leading = asyncio.create_task(leader.lead(cast("asyncpg.Pool[Any]", Pool()), "test", work))
    try:
        async with asyncio.timeout(10):
            await asyncio.wait([leading, waiting := asyncio.create_task(led.wait())], return_when="FIRST_COMPLETED")
        waiting.cancel()
        assert not leading.done(), leading
    finally:
        leading.cancel()
        await asyncio.gather(leading, return_exceptions=True)
