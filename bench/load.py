"""A closed loop of executions, started and seen to end over NATS alone."""

import asyncio
import time
from uuid import UUID

import msgspec
import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.ids import new_id

START_SUBJECT = "commands.workflow.start-execution"


class Figures(msgspec.Struct):
    """Of one workload: executions a second, steps a second, and the time of one execution."""

    executions: int
    seconds: float
    steps_per_s: float
    p50_ms: float
    p99_ms: float


class Driver:
    """Starts executions of one tenant and waits for the events of their ends."""

    def __init__(self, client: Client, tenant_id: UUID) -> None:
        self._client = client
        self._tenant_id = tenant_id
        self._ends: dict[str, asyncio.Future[None]] = {}

    @classmethod
    async def connect(cls, url: str, seed: str, tenant_id: UUID) -> "Driver":
        """Connect as the operator and begin to hear of ends."""
        client = await nats.connect(url, nkeys_seed_str=seed, inbox_prefix=b"_INBOX_operator")
        driver = cls(client, tenant_id)
        await client.subscribe(f"events.{tenant_id}.workflow.execution.completed", cb=driver._on_end)
        await client.flush()
        return driver

    async def _on_end(self, message: Msg) -> None:
        ended = self._ends.pop((message.headers or {})["ce-subject"], None)
        if ended is not None and not ended.done():
            ended.set_result(None)

    async def run_one(self, workflow: str) -> tuple[UUID, float]:
        """Run one execution to its end; return its id and how long it took in seconds."""
        execution_id = new_id()
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ends[str(execution_id)] = ended
        command = {"execution_id": execution_id, "tenant_id": self._tenant_id, "workflow": workflow}
        began = time.perf_counter()
        await self._client.publish(START_SUBJECT, msgspec.json.encode([command]))
        await asyncio.wait_for(ended, 60)
        return execution_id, time.perf_counter() - began

    async def run(self, workflow: str, steps: int, executions: int, concurrency: int) -> Figures:
        """Run many, `concurrency` at a time."""
        times: list[float] = []
        ids = iter(range(executions))

        async def client() -> None:
            for _ in ids:
                _, took = await self.run_one(workflow)
                times.append(took)

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(concurrency)))
        seconds = time.perf_counter() - began
        times.sort()
        return Figures(
            executions,
            round(seconds, 3),
            round(executions * steps / seconds, 1),
            round(times[len(times) // 2] * 1000, 3),
            round(times[int(len(times) * 0.99)] * 1000, 3),
        )

    async def close(self) -> None:
        """Disconnect."""
        await self._client.close()
