"""Several workflow processes share the executions; whichever comes, goes, dies or sleeps, each happens once."""

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx2
import pytest
import pytest_asyncio

from shared.bus.tasks import PARTITIONS
from tests.chaos.field import PATIENCE_S, Field, check_histories, field_on
from tests.chaos.storm import Storm
from tests.e2e.conftest import whole_platform

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXECUTIONS = 300
# Far above what is seen (docs/scale-out.md): the machine may be slow, and what this must catch is "never".
TAKEN_OVER_S = 30.0
STANDS_STILL_S = 15.0
ASLEEP_S = 5.0  # longer than a lease
_OWNERS = """
    SELECT p.partition, e.instance FROM workflow.partitions AS p
    JOIN workflow.engines AS e ON e.id = p.engine_id
    WHERE e.id IN (SELECT workflow.living_engines())"""
_COMMITS = re.compile(r"^agentic_engine_commit_seconds_count (\S+)$", re.MULTILINE)


class Shared:
    """The processes of one platform, and who of them owns what."""

    def __init__(self, field: Field, database: "asyncpg.Connection[Any]") -> None:
        self.field = field
        self.platform = field.whole.platform
        self._database = database
        self._looking = asyncio.Lock()

    def processes(self) -> list[str]:
        return [name for name in self.platform.pids() if name.startswith("workflow")]

    async def owners(self) -> dict[int, int]:
        """Return the pid of the living owner of each partition that has one."""
        async with self._looking:
            rows = await self._database.fetch(_OWNERS)
        return {partition: int(instance.rpartition("-")[2]) for partition, instance in rows}

    async def until(self, holds: Callable[[dict[int, int]], bool]) -> float:
        """Return after how many seconds the owners were as wanted."""
        began = time.monotonic()
        async with asyncio.timeout(PATIENCE_S):
            while not holds(await self.owners()):
                await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def until_fair(self) -> None:
        def fair(owners: dict[int, int]) -> bool:
            pids = {self.platform.pids().get(name) for name in self.processes()}
            shares = [list(owners.values()).count(pid) for pid in set(owners.values())]
            return len(owners) == PARTITIONS and set(owners.values()) == pids and max(shares) - min(shares) <= 1

        await self.until(fair)

    async def commits(self, name: str) -> float:
        socket = self.field.whole.data_dir / "run" / f"{name}.sock"
        transport = httpx2.AsyncHTTPTransport(uds=str(socket))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            found = _COMMITS.search((await client.get("/metrics")).raise_for_status().text)
        assert found is not None
        return float(found[1])

    async def storm(self, strike: Callable[[], None]) -> None:
        """Run executions, `strike` once in their midst, and see that each happened once."""
        struck = 0

        def once() -> None:
            nonlocal struck
            struck += 1
            if struck == 1:
                strike()

        wanted = self.field.starts(EXECUTIONS)
        storm = Storm(self.field.client, self.field.tenant_id, self.field.ledger, once)
        await asyncio.wait_for(storm.run(wanted), PATIENCE_S)
        assert struck > 0
        assert set(storm.statuses.values()) == {"completed"}
        assert await self.field.ledger.open_executions() == 0
        assert (await self.field.client.jetstream().stream_info("DEADLETTER")).state.messages == 0
        await check_histories(self.field, wanted)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared() -> AsyncIterator[Shared]:
    async with shared_by(2) as shared:
        yield shared


@asynccontextmanager
async def shared_by(processes: int) -> AsyncIterator[Shared]:
    async with whole_platform(workflow_processes=processes) as whole, whole.client_for("demo") as demo:
        database = await asyncpg.connect(whole.platform.postgres_admin_dsn)
        await database.execute("SET search_path = workflow")
        async with field_on(whole, demo) as field:
            yield Shared(field, database)
        await database.close()


async def test_the_work_is_shared(shared: Shared) -> None:
    await shared.until_fair()
    before = {name: await shared.commits(name) for name in shared.processes()}
    await shared.storm(lambda: None)
    after = {name: await shared.commits(name) for name in shared.processes()}
    assert all(after[name] > before[name] for name in before), (before, after)


async def test_what_a_killed_process_decided_is_taken_over(shared: Shared) -> None:
    await shared.until_fair()
    killed = shared.platform.pids()["workflow-2"]
    taking: list[asyncio.Task[float]] = []

    def strike() -> None:
        shared.platform.kill("workflow-2")
        gone: Callable[[dict[int, int]], bool] = lambda o: killed not in o.values() and len(o) == PARTITIONS  # noqa: E731
        taking.append(asyncio.create_task(shared.until(gone)))

    await shared.storm(strike)
    assert await taking[0] < TAKEN_OVER_S
    await shared.until_fair()


async def test_a_stopping_process_gives_back(shared: Shared) -> None:
    await shared.until_fair()
    stopped = shared.platform.pids()["workflow-2"]
    await shared.storm(lambda: os.kill(stopped, signal.SIGTERM))
    assert await shared.until(lambda o: stopped not in o.values() and len(o) == PARTITIONS) < TAKEN_OVER_S
    await shared.until_fair()


async def test_a_process_that_sleeps_wakes_up_without_its_partitions(shared: Shared) -> None:
    await shared.until_fair()
    sleeper = shared.platform.pids()["workflow-2"]

    async def sleep() -> None:
        os.kill(sleeper, signal.SIGSTOP)
        try:
            await asyncio.sleep(ASLEEP_S)
            await shared.until(lambda owners: sleeper not in owners.values() and len(owners) == PARTITIONS)
        finally:
            os.kill(sleeper, signal.SIGCONT)

    sleeping: list[asyncio.Task[None]] = []
    await shared.storm(lambda: sleeping.append(asyncio.create_task(sleep())))
    await sleeping[0]
    await shared.until_fair()
    assert shared.platform.pids()["workflow-2"] == sleeper


async def test_a_new_process_gets_its_share_and_nothing_stands_still(shared: Shared) -> None:
    await shared.until_fair()
    longest: dict[int, float] = {}
    watching = asyncio.create_task(_watch_standstills(shared, longest))
    adding: list[asyncio.Task[str]] = []
    await shared.storm(lambda: adding.append(asyncio.create_task(shared.platform.add_workflow_process())))
    added = await adding[0]
    await shared.until_fair()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    moved = [p for p, owner in (await shared.owners()).items() if owner == shared.platform.pids()[added]]
    assert len(moved) >= PARTITIONS // 3
    assert max(longest.values(), default=0.0) < STANDS_STILL_S


async def _watch_standstills(shared: Shared, longest: dict[int, float]) -> None:
    """Note for how many seconds each partition was without a living owner, at the longest."""
    since: dict[int, float] = {}
    while True:
        owners, now = await shared.owners(), time.monotonic()
        for partition in range(PARTITIONS):
            if partition in owners:
                longest[partition] = max(longest.get(partition, 0.0), now - since.pop(partition, now))
            else:
                since.setdefault(partition, now)
        await asyncio.sleep(0.01)


async def test_four_processes_share_and_two_of_them_die() -> None:
    async with shared_by(4) as shared:
        await shared.until_fair()
        before = {name: await shared.commits(name) for name in shared.processes()}
        await shared.storm(lambda: None)
        after = {name: await shared.commits(name) for name in shared.processes()}
        assert all(after[name] > before[name] for name in before), (before, after)

        def strike() -> None:
            shared.platform.kill("workflow")
            shared.platform.kill("workflow-3")

        await shared.storm(strike)
        await shared.until_fair()
