"""A worker on a real bus that one tenant floods: who has one task is served within the next few, none is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import msgspec
import nats
import pytest
from faststream.nats import NatsBroker
from faststream.nats.security import NatsNKey
from nats.aio.client import Client
from nats.aio.msg import Msg
from prometheus_client import CollectorRegistry

from shared.bus import worker as worker_module
from shared.bus.broker import client_of
from shared.bus.envelope import encode_item, pack
from shared.bus.tasks import Task, TaskResult
from shared.bus.worker import TaskWorker
from shared.telemetry.metrics import WorkerMetrics
from tests.conftest import Backbone

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATIENCE_S = 60.0
CONCURRENCY = 4


class Bench:
    """A worker whose tasks wait for `go`, one permit each, and what was heard of them."""

    def __init__(self, subject: str, client: Client) -> None:
        self.subject = subject
        self.client = client
        self.began: list[UUID] = []
        self.go = asyncio.Semaphore(0)
        self.heard: dict[str, str | None] = {}
        self.partition = 31

    async def do(self, task: Task) -> TaskResult:
        self.began.append(task.tenant_id)
        await self.go.acquire()
        return TaskResult(task.execution_id, task.step_path, task.attempt, "ok", {})

    async def note(self, message: Msg) -> None:
        for result in msgspec.json.decode(message.data):
            if result["status"] != "running":
                self.heard[result["execution_id"]] = (result["error"] or {}).get("code")

    async def send(self, tenant: UUID, count: int, **fields: Any) -> list[str]:
        tasks = []
        for _ in range(count):
            execution = uuid4()
            tasks.append(
                Task(
                    f"{execution}/s/1", tenant, execution, "s", 1, self.partition, 2**53, {}, **fields,
                )
            )  # fmt: skip
        for body in pack([encode_item(task) for task in tasks]):
            await self.client.publish(self.subject, body)
        await self.client.flush()
        return [str(task.execution_id) for task in tasks]


@asynccontextmanager
async def bench(backbone: Backbone) -> AsyncIterator[tuple[Bench, TaskWorker]]:
    subject = f"test.fairness.{uuid4().hex}"
    security = NatsNKey.from_seed(backbone.nats_seed())
    broker = NatsBroker(backbone.nats_url, security=security, apply_types=False, logger=None)
    client = await nats.connect(backbone.nats_url, nkeys_seed_str=backbone.nats_seed())
    made = Bench(subject, client)
    worker = TaskWorker(
        subject, service="fair", do=made.do, concurrency=CONCURRENCY, client=lambda: client_of(broker),
        metrics=WorkerMetrics(CollectorRegistry()),
    )  # fmt: skip
    await client.subscribe(f"results.{made.partition}", cb=made.note)
    await broker.start()
    await worker.start(client_of(broker))
    for one in (client_of(broker), client):  # what is published before the server knows of a subscription is lost
        await one.flush()
    try:
        yield made, worker
    finally:
        await broker.stop()
        await client.close()


async def until(what: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not what():
            await asyncio.sleep(0.01)


async def test_one_task_beside_a_flood_is_done_within_the_next_few(backbone: Backbone) -> None:
    flooder, other = uuid4(), uuid4()
    async with bench(backbone) as (one, worker):
        flood = await one.send(flooder, 2_000)
        await until(lambda: len(worker._held) == 2_000)
        (wanted,) = await one.send(other, 1)
        await until(lambda: worker._slots.waiting == 2_001 - CONCURRENCY)
        for _ in range(CONCURRENCY + 2):
            one.go.release()
        await until(lambda: len(one.began) >= CONCURRENCY + 2)
        assert one.began.index(other) <= CONCURRENCY + 1
        for _ in range(2_001):
            one.go.release()
        await until(lambda: len(one.heard) == 2_001)
        assert one.heard == dict.fromkeys([*flood, wanted])
        await worker.drain()
        assert (worker._slots.free, worker._slots.waiting) == (CONCURRENCY, 0)


async def test_a_flood_that_fills_the_worker_makes_room_for_others(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "TASKS_HELD_MAX", 50)
    flooder, other = uuid4(), uuid4()
    async with bench(backbone) as (one, worker):
        flood = await one.send(flooder, 60)
        await until(lambda: len(one.heard) == 10)  # refused: there is no room, and nobody who has more
        assert worker._slots.waiting == 50 - CONCURRENCY
        wanted = await one.send(other, 3)
        await until(lambda: len(one.heard) == 13)
        assert set(one.heard.values()) == {"unavailable"}
        assert set(one.heard) < set(flood)
        for _ in range(50):
            one.go.release()
        await until(lambda: len(one.heard) == 63)
        assert {execution: one.heard[execution] for execution in wanted} == dict.fromkeys(wanted)
        await worker.drain()
        assert worker._slots.free == CONCURRENCY


async def test_the_tasks_of_one_tenant_are_done_by_priority(backbone: Backbone) -> None:
    async with bench(backbone) as (one, worker):
        first = await one.send(tenant := uuid4(), CONCURRENCY)
        await until(lambda: len(one.began) == CONCURRENCY)
        low, high = await one.send(tenant, 3, priority=1), await one.send(tenant, 3, priority=9)
        await until(lambda: worker._slots.waiting == 6)
        done: list[str] = []
        for count in range(1, CONCURRENCY + 7):
            one.go.release()
            await until(lambda count=count: len(one.heard) == count)
            done += [execution for execution in one.heard if execution not in done]
        assert sorted(done[:CONCURRENCY]) == sorted(first)
        assert (done[CONCURRENCY:-3], done[-3:]) == (high, low)


async def test_a_priority_that_cannot_be_is_refused(backbone: Backbone) -> None:
    async with bench(backbone) as (one, _worker):
        body = encode_item(Task("t", uuid4(), uuid4(), "s", 1, one.partition, 2**53, {}, priority=11))
        answer = await one.client.request(one.subject, b"[" + body + b"]", timeout=PATIENCE_S)
        assert msgspec.json.decode(answer.data)[0]["error"]["code"] == "invalid_input"
        assert one.began == []


async def test_what_was_taken_is_answered_before_a_worker_stops_and_nothing_more_is_taken(backbone: Backbone) -> None:
    async with bench(backbone) as (one, worker):
        await one.send(uuid4(), 100)
        await until(lambda: len(worker._held) == 100)
        draining = asyncio.create_task(worker.drain())
        for _ in range(101):
            one.go.release()
        await draining
        await until(lambda: len(one.heard) == 100)
        await one.send(uuid4(), 1)
        await worker._client().flush()
        assert not worker._held
        assert len(one.began) == 100
