"""Schedules on real Postgres: rows that follow their workflow, one run a moment whatever the replicas, and no scans."""

import asyncio
import datetime as dt
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from services.workflow.adapters.programs import PostgresPrograms
from services.workflow.adapters.schedules import PostgresSchedules
from services.workflow.adapters.transitions import PostgresTransitions
from services.workflow.adapters.webhooks import PostgresWebhooks
from services.workflow.adapters.workflows import PostgresWorkflows
from services.workflow.app.definitions import ACTIVE, ARCHIVED, Definitions
from services.workflow.app.engine import Engine
from services.workflow.app.family import Orphan
from services.workflow.app.recording import Recorder
from services.workflow.app.schedules import Scheduler
from services.workflow.app.starting import Executions
from services.workflow.app.states import States
from services.workflow.app.tracking import Tracking
from services.workflow.metrics import EngineMetrics, TriggerMetrics
from shared.bus.tasks import PARTITIONS, Task, TaskResult
from shared.db.pool import TenantPool, open_pool, open_worker_pool
from shared.eventstore.postgres import PostgresEventLog, PostgresEventReader
from shared.scope import TenantScope
from shared.tail.leader import lead
from shared.tail.waker import Waker
from tests.conftest import Backbone
from tests.unit.workflow_engine.engine_house import NO_ADMISSION, Elsewhere

pytestmark = pytest.mark.asyncio(loop_scope="session")

START = dt.datetime(2031, 1, 6, 8, 59, 30, tzinfo=dt.UTC)
NINE = dt.datetime(2031, 1, 6, 9, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
PATIENCE_S = 60.0


class Nobody:
    """`Dispatch` for workflows whose steps need no worker."""

    async def send(self, tasks: Sequence[tuple[str, Task]]) -> None:
        assert not tasks

    async def tell_family(self, ends: Sequence[TaskResult], orphans: Sequence[Orphan]) -> None:
        assert not ends
        assert not orphans


class Replica:
    """One process of the service, as far as schedules are concerned. `clock` is shared by all."""

    def __init__(self, pool: Any, tenants: TenantPool, clock: "Clock") -> None:
        self.pool = pool
        programs = PostgresPrograms(pool)
        store = PostgresTransitions(pool, PostgresEventLog(pool))
        states, tracking, metrics = States(store, programs), Tracking(), EngineMetrics(CollectorRegistry())
        recorder = Recorder(store, states, tracking, Nobody(), Waker("workflow"), metrics)
        self.engine = Engine(store, states, tracking, recorder, metrics, Elsewhere())
        executions = Executions(self.engine, programs, PostgresEventReader(tenants), NO_ADMISSION)
        self.scheduler = Scheduler(
            PostgresSchedules(pool), programs, executions, TriggerMetrics(CollectorRegistry()), _bury, clock
        )

    async def __aenter__(self) -> Self:
        self.engine.adopt(range(PARTITIONS), handed=False)
        self.engine.may_act_until(math.inf)
        self._running = asyncio.create_task(self.engine.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> dt.datetime:
        return self.now


async def _bury(subject: str, body: bytes, why: str) -> None:
    pytest.fail(f"{subject}: {why}")


class World:
    """The service's database, seen by requests of one tenant, by replicas, and by an administrator."""

    def __init__(self, backbone: Backbone, tenants: TenantPool, workers: Any, admin: Any) -> None:
        self._backbone = backbone
        self.tenants = tenants
        self.scope = TenantScope(uuid4(), "user:test", frozenset())
        self.admin = admin
        self.webhooks = PostgresWebhooks(tenants, workers)
        self.definitions = Definitions(PostgresWorkflows(tenants, PostgresEventReader(tenants), Waker("workflow")))

    @asynccontextmanager
    async def replica(self, clock: Clock) -> AsyncIterator[Replica]:
        pool = await open_worker_pool(self._backbone.working_dsn("workflow"), name="schedules-test")
        async with Replica(pool, self.tenants, clock) as replica:
            yield replica
        await pool.close()

    async def create(self, *triggers: dict[str, Any], status: str = "active", now: dt.datetime = START) -> UUID:
        workflow = uuid4()
        step = {"type": "transform", "name": "a", "input": "{input}"}
        body = {"name": f"Scheduled {workflow}", "steps": [step], "triggers": list(triggers), "status": status}
        await self.definitions.create(self.scope, workflow, body, now)
        return workflow

    async def places(self, workflow: UUID) -> dict[str, dt.datetime | None]:
        rows = await self.admin.fetch("SELECT * FROM workflow.schedules WHERE workflow_id = $1", workflow)
        return {row["cron"] + (f" #{row['nth']}" if row["nth"] else ""): row["next_fire_at"] for row in rows}

    async def runs(self, workflow: UUID) -> list[str]:
        """Return the moments of a workflow's executions, one an execution."""
        rows = await self.admin.fetch(
            "SELECT data FROM workflow.events JOIN workflow.executions ON id = stream_id "
            "WHERE workflow_id = $1 AND events.version = 1",
            workflow,
        )
        starts = [msgspec.json.decode(row["data"]) for row in rows]
        assert {start["trigger"] for start in starts} <= {"schedule"}
        return sorted(start["context"]["schedule"]["time"][11:16] for start in starts)

    async def until(self, workflow: UUID, runs: list[str]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while await self.runs(workflow) != runs:
                await asyncio.sleep(0.02)


@pytest_asyncio.fixture(loop_scope="session")
async def world(backbone: Backbone) -> AsyncIterator[World]:
    pool = await open_pool(backbone.serving_dsn("workflow"), name="schedules-test")
    admin = await asyncpg.create_pool(backbone.admin_dsn, min_size=1, max_size=4)
    await admin.execute("DELETE FROM workflow.schedules")
    workers = await open_worker_pool(backbone.working_dsn("workflow"), name="schedules-test")
    yield World(backbone, TenantPool(pool), workers, admin)
    await admin.close()
    await workers.close()
    await pool.close()


def every_minute(**fields: Any) -> dict[str, Any]:
    return {"type": "schedule", "cron": "* * * * *", **fields}


NIGHTLY = {"type": "schedule", "cron": "30 2 * * *", "timezone": "Europe/Berlin"}


async def test_a_schedule_is_there_while_its_workflow_is_active(world: World) -> None:
    workflow = await world.create(every_minute(), NIGHTLY, every_minute(), status="draft")
    assert await world.places(workflow) == {}
    await world.definitions.set_status(world.scope, workflow, ACTIVE, START)
    night = dt.datetime(2031, 1, 7, 1, 30, tzinfo=dt.UTC)
    assert await world.places(workflow) == {"* * * * *": NINE, "* * * * * #1": NINE, "30 2 * * *": night}
    await world.definitions.set_status(world.scope, workflow, ARCHIVED, START)
    assert await world.places(workflow) == {}
    late = START + 10 * MINUTE
    await world.definitions.set_status(world.scope, workflow, ACTIVE, late)
    assert (await world.places(workflow))["* * * * *"] == NINE + 10 * MINUTE, "while it was archived nothing was missed"
    await world.definitions.delete(world.scope, workflow, late, None)
    assert await world.places(workflow) == {}


async def test_a_revision_keeps_the_place_of_what_stays(world: World) -> None:
    workflow = await world.create(every_minute(), NIGHTLY)
    changes = {"triggers": [{"type": "schedule", "cron": "0 12 * * *"}, every_minute(input={"new": 1})]}
    await world.definitions.revise(world.scope, workflow, changes, START + 5 * MINUTE, None)
    assert await world.places(workflow) == {"* * * * *": NINE, "0 12 * * *": NINE.replace(hour=12)}
    await world.definitions.revise(world.scope, workflow, {"triggers": []}, START, None)
    assert await world.places(workflow) == {}


async def test_two_replicas_at_once_fire_once(world: World) -> None:
    clock = Clock()
    workflows = [await world.create(every_minute(missed="all")) for _ in range(5)]
    async with world.replica(clock) as one, world.replica(clock) as other:
        clock.now = NINE + 4 * MINUTE
        await asyncio.gather(*(r.scheduler.fire_due() for r in (one, other, one, other)))
    for workflow in workflows:
        assert await world.runs(workflow) == ["09:00", "09:01", "09:02", "09:03", "09:04"]
        assert await world.places(workflow) == {"* * * * *": NINE + 5 * MINUTE}


async def test_the_leader_fires_and_its_successor_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.workflow.app.schedules.SCHEDULE_POLL_S", 0.01)
    monkeypatch.setattr("shared.tail.leader.LEADER_RETRY_S", 0.02)
    clock = Clock()
    workflow = await world.create(every_minute())
    async with world.replica(clock) as one, world.replica(clock) as other:
        leading = [asyncio.create_task(lead(r.pool, "schedules", r.scheduler.run)) for r in (one, other)]
        for number in range(3):
            clock.now = NINE + number * MINUTE
            await world.until(workflow, [f"09:0{n}" for n in range(number + 1)])
        for minute, gone in ((3, leading[0]), (4, None)):
            if gone is not None:
                gone.cancel()
                await asyncio.gather(gone, return_exceptions=True)
            clock.now = NINE + minute * MINUTE
            await world.until(workflow, [f"09:0{n}" for n in range(minute + 1)])
        leading[1].cancel()
        await asyncio.gather(*leading, return_exceptions=True)


async def test_what_is_archived_fires_no_more_and_another_revision_fires_its_own(world: World) -> None:
    clock = Clock()
    kept, gone = await world.create(every_minute()), await world.create(every_minute())
    async with world.replica(clock) as replica:
        clock.now = NINE
        await replica.scheduler.fire_due()
        await world.definitions.set_status(world.scope, gone, ARCHIVED, clock.now)
        await world.definitions.revise(
            world.scope, kept, {"triggers": [every_minute(input={"new": 1})]}, clock.now, None
        )
        clock.now += MINUTE
        await replica.scheduler.fire_due()
    assert await world.runs(gone) == ["09:00"]
    assert await world.runs(kept) == ["09:00", "09:01"]
    inputs = await world.admin.fetch(
        "SELECT data FROM workflow.events JOIN workflow.executions ON id = stream_id "
        "WHERE workflow_id = $1 AND events.version = 1 ORDER BY position",
        kept,
    )
    assert [msgspec.json.decode(row["data"])["input"] for row in inputs] == [{}, {"new": 1}]


async def test_ten_thousand_schedules_are_looked_up_by_an_index(world: World) -> None:
    workflow = await world.create(every_minute())
    await world.admin.execute(
        "INSERT INTO workflow.schedules SELECT $1, $2, 'x', 'UTC', n, $3::timestamptz + n * interval '1 minute' "
        "FROM generate_series(1, 10000) n",
        world.scope.tenant_id, workflow, NINE,
    )  # fmt: skip
    await world.admin.execute("ANALYZE workflow.schedules")
    plan = await world.admin.fetch(
        "EXPLAIN SELECT * FROM workflow.schedules s JOIN workflow.workflows w ON w.id = s.workflow_id "
        "WHERE s.next_fire_at <= $1 ORDER BY s.next_fire_at LIMIT 200",
        NINE,
    )
    assert "Index Scan using schedules_due" in "\n".join(row[0] for row in plan)


async def test_another_tenant_sees_and_changes_none_of_it(world: World) -> None:
    workflow = await world.create(every_minute(), {"type": "webhook"})
    [webhook] = await world.webhooks.of(world.scope, workflow)
    assert webhook.name == "webhook"
    stranger = TenantScope(uuid4(), "user:stranger", frozenset())
    assert await world.webhooks.of(stranger, workflow) == []
    addressed = await world.webhooks.addressed(webhook.id)
    assert addressed is not None
    assert (addressed.tenant_id, addressed.workflow_id) == (world.scope.tenant_id, workflow)


async def test_a_webhook_keeps_its_id_as_long_as_it_keeps_its_name(world: World) -> None:
    workflow = await world.create({"type": "webhook"}, {"type": "webhook", "name": "other"}, status="draft")
    before = {row.name: row.id for row in await world.webhooks.of(world.scope, workflow)}
    await world.definitions.set_status(world.scope, workflow, ACTIVE, START)
    changes = {"triggers": [{"type": "webhook", "input": {"new": 1}}, {"type": "webhook", "name": "third"}]}
    await world.definitions.revise(world.scope, workflow, changes, START, None)
    after = {row.name: row.id for row in await world.webhooks.of(world.scope, workflow)}
    assert after.keys() == {"webhook", "third"}
    assert after["webhook"] == before["webhook"]
    assert await world.webhooks.addressed(before["other"]) is None
